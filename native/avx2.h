// The words of vectors.h for AVX2 with FMA: 8 lanes.
#pragma once
#include "x64.h"

typedef __m256 V;
#define LANES 8
#define INTEGERS(x) _mm256_castps_si256(x)
#define FLOATS(x) _mm256_castsi256_ps(x)

#define f32x4_splat(x) _mm256_set1_ps(x)
#define f32x4_add(a, b) _mm256_add_ps(a, b)
#define f32x4_sub(a, b) _mm256_sub_ps(a, b)
#define f32x4_mul(a, b) _mm256_mul_ps(a, b)
#define f32x4_div(a, b) _mm256_div_ps(a, b)
#define f32x4_sqrt(a) _mm256_sqrt_ps(a)
#define vector_fma(a, b, c) _mm256_fmadd_ps(a, b, c)
#define vector_fnma(a, b, c) _mm256_fnmadd_ps(a, b, c)
// The processor's second operand is what it gives if the comparison fails: WebAssembly's first.
#define f32x4_pmin(a, b) _mm256_min_ps(b, a)
#define f32x4_pmax(a, b) _mm256_max_ps(b, a)
#define f32x4_eq(a, b) _mm256_cmp_ps(a, b, _CMP_EQ_OQ)
#define f32x4_ne(a, b) _mm256_cmp_ps(a, b, _CMP_NEQ_UQ)
#define f32x4_lt(a, b) _mm256_cmp_ps(a, b, _CMP_LT_OQ)
#define f32x4_le(a, b) _mm256_cmp_ps(a, b, _CMP_LE_OQ)
#define f32x4_gt(a, b) _mm256_cmp_ps(a, b, _CMP_GT_OQ)
#define f32x4_ge(a, b) _mm256_cmp_ps(a, b, _CMP_GE_OQ)
#define lanes_unordered(a, b) _mm256_cmp_ps(a, b, _CMP_UNORD_Q)
#define f32x4_convert_i32x4_s(a) _mm256_cvtepi32_ps(INTEGERS(a))
#define v128_and(a, b) _mm256_and_ps(a, b)
#define v128_or(a, b) _mm256_or_ps(a, b)
#define v128_xor(a, b) _mm256_xor_ps(a, b)
#define v128_andnot(a, b) _mm256_andnot_ps(b, a)
#define v128_bitselect(a, b, mask) _mm256_or_ps(_mm256_and_ps(mask, a), _mm256_andnot_ps(mask, b))
#define vector_select(a, b, mask) _mm256_blendv_ps(b, a, mask)
#define i32x4_splat(x) FLOATS(_mm256_set1_epi32(x))
#define i32x4_add(a, b) FLOATS(_mm256_add_epi32(INTEGERS(a), INTEGERS(b)))
#define i32x4_sub(a, b) FLOATS(_mm256_sub_epi32(INTEGERS(a), INTEGERS(b)))
#define i32x4_shl(a, count) FLOATS(_mm256_slli_epi32(INTEGERS(a), count))
#define i32x4_shr_s(a, count) FLOATS(_mm256_srai_epi32(INTEGERS(a), count))
#define i32x4_shr_u(a, count) FLOATS(_mm256_srli_epi32(INTEGERS(a), count))
#define lanes_same(a, b) FLOATS(_mm256_cmpeq_epi32(INTEGERS(a), INTEGERS(b)))
// There is no comparison of numbers without a sign: a is not below b if it is the greater one.
#define lanes_below(a, b) \
  v128_andnot(i32x4_splat(-1), FLOATS(_mm256_cmpeq_epi32(_mm256_max_epu32(INTEGERS(a), INTEGERS(b)), INTEGERS(a))))
#define lane_bits(mask) ((uint32_t)_mm256_movemask_ps(mask))

INLINE V load_at(const void *at, int lanes) {
  if (lanes == LANES) return _mm256_loadu_ps(at);
  return _mm256_maskload_ps(at, lanes_before(lanes));
}

INLINE void store_at(void *at, V value, int lanes) {
  if (lanes == LANES) _mm256_storeu_ps(at, value);
  else _mm256_maskstore_ps(at, lanes_before(lanes), value);
}

typedef __m256i lane_mask;
#define lanes_between(begin, end) _mm256_andnot_si256(lanes_before(begin), lanes_before(end))
#define load_masked(at, mask) _mm256_maskload_ps((const float *)(at), mask)
#define load_masked_over(x, at, mask) v128_or(x, load_masked(at, mask))

INLINE V even_lanes(V a, V b) {
  const __m256 pairs = _mm256_shuffle_ps(a, b, _MM_SHUFFLE(2, 0, 2, 0));
  return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(pairs), _MM_SHUFFLE(3, 1, 2, 0)));
}

typedef struct {
  __m256d low, high;
} doubles;
INLINE doubles doubles_of(V x) {
  return (doubles){_mm256_cvtps_pd(_mm256_castps256_ps128(x)), _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1))};
}
INLINE V floats_of(doubles x) {
  return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm256_cvtpd_ps(x.low)), _mm256_cvtpd_ps(x.high), 1);
}
#define EACH_DOUBLE(a, operation, b) ((doubles){(a).low operation (b).low, (a).high operation (b).high})
INLINE void doubles_store(double *at, doubles x) {
  _mm256_storeu_pd(at, x.low);
  _mm256_storeu_pd(at + 4, x.high);
}
