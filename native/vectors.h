// The operations of WebAssembly's vectors, on vectors as wide as the processor's: 16 floats with
// AVX-512, 8 with AVX2. Each lane gives the bits that WebAssembly gives. The names are those of
// AssemblyScript.
//
// No operation here may be merged with another: the compiler gets -ffp-contract=off.
#pragma once
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

/** The first `lanes` of eight lanes are ones, the others zeros. */
INLINE __m256i lanes_before(int lanes) {
  static const int32_t ones[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
  return _mm256_loadu_si256((const __m256i *)(ones + 8 - lanes));
}

#ifdef __AVX512F__

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
#define UNORDERED(a, b) MASK(_mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q))
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

/** The first `lanes` floats at an address; zeros in the other lanes, whose memory is not read. */
INLINE V load_at(const void *at, int lanes) {
  if (lanes == LANES) return _mm512_loadu_ps(at);
  return _mm512_maskz_loadu_ps((__mmask16)((1u << lanes) - 1), at);
}

INLINE void store_at(void *at, V value, int lanes) {
  if (lanes == LANES) _mm512_storeu_ps(at, value);
  else _mm512_mask_storeu_ps(at, (__mmask16)((1u << lanes) - 1), value);
}

#else

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
#define f32x4_pmin(a, b) _mm256_min_ps(b, a)
#define f32x4_pmax(a, b) _mm256_max_ps(b, a)
#define f32x4_eq(a, b) _mm256_cmp_ps(a, b, _CMP_EQ_OQ)
#define f32x4_ne(a, b) _mm256_cmp_ps(a, b, _CMP_NEQ_UQ)
#define f32x4_lt(a, b) _mm256_cmp_ps(a, b, _CMP_LT_OQ)
#define f32x4_le(a, b) _mm256_cmp_ps(a, b, _CMP_LE_OQ)
#define f32x4_gt(a, b) _mm256_cmp_ps(a, b, _CMP_GT_OQ)
#define f32x4_ge(a, b) _mm256_cmp_ps(a, b, _CMP_GE_OQ)
#define UNORDERED(a, b) _mm256_cmp_ps(a, b, _CMP_UNORD_Q)
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

INLINE V load_at(const void *at, int lanes) {
  if (lanes == LANES) return _mm256_loadu_ps(at);
  return _mm256_maskload_ps(at, lanes_before(lanes));
}

INLINE void store_at(void *at, V value, int lanes) {
  if (lanes == LANES) _mm256_storeu_ps(at, value);
  else _mm256_maskstore_ps(at, lanes_before(lanes), value);
}

#endif

#define f32x4_neg(a) v128_xor(a, i32x4_splat(INT32_MIN))
#define f32x4_abs(a) v128_and(a, i32x4_splat(INT32_MAX))

/** The smaller one: NaN if one is NaN, and −0 is smaller than 0. */
INLINE V f32x4_min(V a, V b) {
  const V least = v128_bitselect(v128_or(a, b), f32x4_pmin(a, b), f32x4_eq(a, b));
  return v128_bitselect(f32x4_add(a, b), least, UNORDERED(a, b));
}

INLINE V f32x4_max(V a, V b) {
  const V most = v128_bitselect(v128_and(a, b), f32x4_pmax(a, b), f32x4_eq(a, b));
  return v128_bitselect(f32x4_add(a, b), most, UNORDERED(a, b));
}

/** Number i of a table, in all lanes. */
INLINE V vector_c(const uint32_t *table, int i) { return i32x4_splat((int32_t)table[i]); }

/** math.as.ts: Horner's rule. */
INLINE V vector_polynomial(const uint32_t *table, int degree, V x) {
  V p = vector_c(table, degree);
#pragma GCC unroll 9
  for (int i = degree - 1; i >= 0; i--) p = vector_fma(p, x, vector_c(table, i));
  return p;
}

INLINE V vector_load(const uint8_t *memory, uint32_t address, int lanes) {
  return load_at(memory + address, lanes);
}

INLINE void vector_store(uint8_t *memory, uint32_t address, V value, int lanes) {
  store_at(memory + address, value, lanes);
}
