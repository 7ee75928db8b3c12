// The words of vectors.h for NEON, on arm64: 8 lanes, which are two vectors of the processor's.
//
// With two, a tile of a product uses 29 of the 32 registers. The processor reads no part of a
// vector. So a part is read piece by piece, and loops that would read parts pack them first.
#pragma once
#include <arm_neon.h>

#define MASKED_LOADS 0

typedef float32x4_t floats4;
#define floats4_at(at) vld1q_f32((const float *)(at))
#define floats4_store(at, x) vst1q_f32(at, x)
#define floats4_fma(a, b, c) vfmaq_f32(c, a, b)
#define floats4_transpose(a, b, c, d)                                                         \
  do {                                                                                        \
    const float32x4x2_t ab = vtrnq_f32(a, b), cd = vtrnq_f32(c, d);                           \
    a = vcombine_f32(vget_low_f32(ab.val[0]), vget_low_f32(cd.val[0]));                       \
    b = vcombine_f32(vget_low_f32(ab.val[1]), vget_low_f32(cd.val[1]));                       \
    c = vcombine_f32(vget_high_f32(ab.val[0]), vget_high_f32(cd.val[0]));                     \
    d = vcombine_f32(vget_high_f32(ab.val[1]), vget_high_f32(cd.val[1]));                     \
  } while (0)

typedef struct {
  float32x4_t low, high;
} V;
#define LANES 8
#define BITS(x) vreinterpretq_u32_f32(x)
#define INTEGERS(x) vreinterpretq_s32_f32(x)
#define FLOATS(x) vreinterpretq_f32_u32(x)

/** The word `name` of both halves. They are called `a` and `b` in `half`. */
#define OF_ONE(name, half)                                                                    \
  INLINE float32x4_t half_##name(float32x4_t a) { return half; }                              \
  INLINE V name(V a) { return (V){half_##name(a.low), half_##name(a.high)}; }
#define OF_TWO(name, half)                                                                    \
  INLINE float32x4_t half_##name(float32x4_t a, float32x4_t b) { return half; }               \
  INLINE V name(V a, V b) { return (V){half_##name(a.low, b.low), half_##name(a.high, b.high)}; }
#define OF_THREE(name, half)                                                                  \
  INLINE float32x4_t half_##name(float32x4_t a, float32x4_t b, float32x4_t c) { return half; } \
  INLINE V name(V a, V b, V c) {                                                              \
    return (V){half_##name(a.low, b.low, c.low), half_##name(a.high, b.high, c.high)};        \
  }

INLINE V f32x4_splat(float x) { return (V){vdupq_n_f32(x), vdupq_n_f32(x)}; }
INLINE V i32x4_splat(int32_t x) {
  const float32x4_t half = vreinterpretq_f32_s32(vdupq_n_s32(x));
  return (V){half, half};
}
OF_TWO(f32x4_add, vaddq_f32(a, b))
OF_TWO(f32x4_sub, vsubq_f32(a, b))
OF_TWO(f32x4_mul, vmulq_f32(a, b))
OF_TWO(f32x4_div, vdivq_f32(a, b))
OF_ONE(f32x4_sqrt, vsqrtq_f32(a))
OF_THREE(vector_fma, vfmaq_f32(c, a, b))
OF_THREE(vector_fnma, vfmsq_f32(c, a, b))
// Not vminq and vmaxq: those give NaN if one operand is NaN.
OF_TWO(f32x4_pmin, vbslq_f32(vcltq_f32(b, a), b, a))
OF_TWO(f32x4_pmax, vbslq_f32(vcltq_f32(a, b), b, a))
OF_TWO(f32x4_eq, FLOATS(vceqq_f32(a, b)))
OF_TWO(f32x4_ne, FLOATS(vmvnq_u32(vceqq_f32(a, b))))
OF_TWO(f32x4_lt, FLOATS(vcltq_f32(a, b)))
OF_TWO(f32x4_le, FLOATS(vcleq_f32(a, b)))
OF_TWO(f32x4_gt, FLOATS(vcgtq_f32(a, b)))
OF_TWO(f32x4_ge, FLOATS(vcgeq_f32(a, b)))
OF_TWO(lanes_unordered, FLOATS(vmvnq_u32(vandq_u32(vceqq_f32(a, a), vceqq_f32(b, b)))))
OF_ONE(f32x4_convert_i32x4_s, vcvtq_f32_s32(INTEGERS(a)))
OF_TWO(v128_and, FLOATS(vandq_u32(BITS(a), BITS(b))))
OF_TWO(v128_or, FLOATS(vorrq_u32(BITS(a), BITS(b))))
OF_TWO(v128_xor, FLOATS(veorq_u32(BITS(a), BITS(b))))
OF_TWO(v128_andnot, FLOATS(vbicq_u32(BITS(a), BITS(b))))
OF_THREE(v128_bitselect, vbslq_f32(BITS(c), a, b))
#define vector_select(a, b, mask) v128_bitselect(a, b, mask)
OF_TWO(i32x4_add, FLOATS(vaddq_u32(BITS(a), BITS(b))))
OF_TWO(i32x4_sub, FLOATS(vsubq_u32(BITS(a), BITS(b))))
OF_TWO(lanes_same, FLOATS(vceqq_u32(BITS(a), BITS(b))))
OF_TWO(lanes_below, FLOATS(vcltq_u32(BITS(a), BITS(b))))
INLINE V i32x4_shl(V a, int count) { return (V){FLOATS(BITS(a.low) << count), FLOATS(BITS(a.high) << count)}; }
INLINE V i32x4_shr_u(V a, int count) { return (V){FLOATS(BITS(a.low) >> count), FLOATS(BITS(a.high) >> count)}; }
INLINE V i32x4_shr_s(V a, int count) {
  return (V){vreinterpretq_f32_s32(INTEGERS(a.low) >> count), vreinterpretq_f32_s32(INTEGERS(a.high) >> count)};
}

INLINE uint32_t lane_bits(V mask) {
  static const uint32_t bits[LANES] = {1, 2, 4, 8, 16, 32, 64, 128};
  return vaddvq_u32(vorrq_u32(vandq_u32(BITS(mask.low), vld1q_u32(bits)), vandq_u32(BITS(mask.high), vld1q_u32(bits + 4))));
}

/** The first `lanes` floats, of which there may be fewer than none or more than four. */
INLINE float32x4_t load_half(const float *at, int lanes) {
  if (lanes >= 4) return vld1q_f32(at);
  const float32x4_t zeros = vdupq_n_f32(0);
  if (lanes <= 0) return zeros;
  if (lanes == 1) return vld1q_lane_f32(at, zeros, 0);
  const float32x4_t two = vcombine_f32(vld1_f32(at), vget_low_f32(zeros));
  return lanes == 2 ? two : vld1q_lane_f32(at + 2, two, 2);
}

INLINE void store_half(float *at, float32x4_t value, int lanes) {
  if (lanes >= 4) {
    vst1q_f32(at, value);
  } else if (lanes == 1) {
    vst1q_lane_f32(at, value, 0);
  } else if (lanes > 1) {
    vst1_f32(at, vget_low_f32(value));
    if (lanes == 3) vst1q_lane_f32(at + 2, value, 2);
  }
}

INLINE V load_at(const void *at, int lanes) {
  return (V){load_half(at, lanes), load_half((const float *)at + 4, lanes - 4)};
}

INLINE void store_at(void *at, V value, int lanes) {
  store_half(at, value.low, lanes);
  store_half((float *)at + 4, value.high, lanes - 4);
}

INLINE V even_lanes(V a, V b) { return (V){vuzp1q_f32(a.low, a.high), vuzp1q_f32(b.low, b.high)}; }

typedef struct {
  float64x2_t a, b, c, d;
} doubles;
INLINE doubles doubles_of(V x) {
  return (doubles){vcvt_f64_f32(vget_low_f32(x.low)), vcvt_high_f64_f32(x.low),
                   vcvt_f64_f32(vget_low_f32(x.high)), vcvt_high_f64_f32(x.high)};
}
INLINE V floats_of(doubles x) {
  return (V){vcvt_high_f32_f64(vcvt_f32_f64(x.a), x.b), vcvt_high_f32_f64(vcvt_f32_f64(x.c), x.d)};
}
#define EACH_DOUBLE(x, operation, y) \
  ((doubles){(x).a operation (y).a, (x).b operation (y).b, (x).c operation (y).c, (x).d operation (y).d})
INLINE void doubles_store(double *at, doubles x) {
  vst1q_f64(at, x.a);
  vst1q_f64(at + 2, x.b);
  vst1q_f64(at + 4, x.c);
  vst1q_f64(at + 6, x.d);
}
