// The words of vectors.h for AVX-512: 16 lanes.
#pragma once
#include "x64.h"

typedef __m512 V;
#define LANES 16
#define INTEGERS(x) _mm512_castps_si512(x)
#define FLOATS(x) _mm512_castsi512_ps(x)
/** A mask as WebAssembly has it: all bits of a lane are alike. */
#define MASK(x) FLOATS(_mm512_movm_epi32(x))

#define f32x4_splat(x) _mm512_set1_ps(x)
#define f32x4_add(a, b) _mm512_add_ps(a, b)
#define f32x4_sub(a, b) _mm512_sub_ps(a, b)
#define f32x4_mul(a, b) _mm512_mul_ps(a, b)
#define f32x4_div(a, b) _mm512_div_ps(a, b)
#define f32x4_sqrt(a) _mm512_sqrt_ps(a)
#define vector_fma(a, b, c) _mm512_fmadd_ps(a, b, c)
#define vector_fnma(a, b, c) _mm512_fnmadd_ps(a, b, c)
// The processor's second operand is what it gives if the comparison fails: WebAssembly's first.
#define f32x4_pmin(a, b) _mm512_min_ps(b, a)
#define f32x4_pmax(a, b) _mm512_max_ps(b, a)
#define f32x4_eq(a, b) MASK(_mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ))
#define f32x4_ne(a, b) MASK(_mm512_cmp_ps_mask(a, b, _CMP_NEQ_UQ))
#define f32x4_lt(a, b) MASK(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ))
#define f32x4_le(a, b) MASK(_mm512_cmp_ps_mask(a, b, _CMP_LE_OQ))
#define f32x4_gt(a, b) MASK(_mm512_cmp_ps_mask(a, b, _CMP_GT_OQ))
#define f32x4_ge(a, b) MASK(_mm512_cmp_ps_mask(a, b, _CMP_GE_OQ))
#define lanes_unordered(a, b) MASK(_mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q))
#define f32x4_convert_i32x4_s(a) _mm512_cvtepi32_ps(INTEGERS(a))
#define v128_and(a, b) _mm512_and_ps(a, b)
#define v128_or(a, b) _mm512_or_ps(a, b)
#define v128_xor(a, b) _mm512_xor_ps(a, b)
#define v128_andnot(a, b) _mm512_andnot_ps(b, a)
#define v128_bitselect(a, b, mask) \
  FLOATS(_mm512_ternarylogic_epi32(INTEGERS(mask), INTEGERS(a), INTEGERS(b), 0xca))
#define vector_select(a, b, mask) _mm512_mask_blend_ps(_mm512_movepi32_mask(INTEGERS(mask)), b, a)
#define i32x4_splat(x) FLOATS(_mm512_set1_epi32(x))
#define i32x4_add(a, b) FLOATS(_mm512_add_epi32(INTEGERS(a), INTEGERS(b)))
#define i32x4_sub(a, b) FLOATS(_mm512_sub_epi32(INTEGERS(a), INTEGERS(b)))
#define i32x4_shl(a, count) FLOATS(_mm512_slli_epi32(INTEGERS(a), count))
#define i32x4_shr_s(a, count) FLOATS(_mm512_srai_epi32(INTEGERS(a), count))
#define i32x4_shr_u(a, count) FLOATS(_mm512_srli_epi32(INTEGERS(a), count))
#define lanes_same(a, b) MASK(_mm512_cmpeq_epi32_mask(INTEGERS(a), INTEGERS(b)))
#define lanes_below(a, b) MASK(_mm512_cmplt_epu32_mask(INTEGERS(a), INTEGERS(b)))
#define lane_bits(mask) ((uint32_t)_mm512_movepi32_mask(INTEGERS(mask)))

INLINE V load_at(const void *at, int lanes) {
  if (lanes == LANES) return _mm512_loadu_ps(at);
  return _mm512_maskz_loadu_ps((__mmask16)((1u << lanes) - 1), at);
}

INLINE void store_at(void *at, V value, int lanes) {
  if (lanes == LANES) _mm512_storeu_ps(at, value);
  else _mm512_mask_storeu_ps(at, (__mmask16)((1u << lanes) - 1), value);
}

typedef __mmask16 lane_mask;
#define lanes_between(begin, end) ((lane_mask)((1u << (end)) - (1u << (begin))))
#define load_masked(at, mask) _mm512_maskz_loadu_ps(mask, at)
#define load_masked_over(x, at, mask) _mm512_mask_loadu_ps(x, mask, at)

INLINE V even_lanes(V a, V b) {
  return _mm512_permutex2var_ps(
      a, _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30), b);
}

typedef __m256 floats8;
#define floats8_at(at) _mm256_loadu_ps(at)
#define floats8_splat(x) _mm256_set1_ps(x)
#define floats8_sub(a, b) _mm256_sub_ps(a, b)
#define floats8_mul(a, b) _mm256_mul_ps(a, b)
typedef __m512d doubles8;
#define doubles8_zero() _mm512_setzero_pd()
#define doubles8_of(x) _mm512_cvtps_pd(x)
#define doubles8_add(a, b) _mm512_add_pd(a, b)
#define doubles8_store(at, x) _mm512_storeu_pd(at, x)

typedef struct {
  __m512d low, high;
} doubles;
INLINE doubles doubles_of(V x) {
  return (doubles){_mm512_cvtps_pd(_mm512_castps512_ps256(x)), _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1))};
}
INLINE V floats_of(doubles x) {
  return _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(x.low)), _mm512_cvtpd_ps(x.high), 1);
}
#define EACH_DOUBLE(a, operation, b) ((doubles){(a).low operation (b).low, (a).high operation (b).high})
