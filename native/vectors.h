// The operations of WebAssembly's vectors, on vectors as wide as suits the processor: 16 floats
// with AVX-512, 8 with AVX2 and with NEON. Each lane gives the bits that WebAssembly gives. The
// names are those of AssemblyScript.
//
// No operation here may be merged with another: the compiler gets -ffp-contract=off.
//
// A header for each set of instructions defines the words below. Nothing else in this directory
// names an instruction, so that every set compiles the same kernels.
//
//   V, LANES              a vector of floats; how many it has
//   f32x4_…, i32x4_…, v128_…, vector_fma, vector_fnma
//   vector_select         v128_bitselect for masks that are all ones or all zeros in a lane
//   lanes_same, lanes_below, lanes_unordered, lane_bits
//                         masks: of equal integers, of lesser ones without a sign, of NaN in either
//                         of two; and a bit for each lane of a mask
//   load_at, store_at     the first lanes of a vector. Zeros in the others, whose memory is neither
//                         read nor written. There may be none.
//   even_lanes            every second float of two vectors
//   MASKED_LOADS          whether a part of a vector is loaded as fast as all of it. Then there are
//                         also lane_mask, lanes_between, load_masked and load_masked_over, which
//                         keeps the other lanes of a vector (or them, if they are zeros).
//   floats4_…             four floats. Operators work on them.
//   floats8_…, doubles8_… eight floats, and eight doubles
//   doubles, doubles_of, floats_of, EACH_DOUBLE
//                         as many doubles as V has lanes
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

#if defined __AVX512F__
#include "avx512.h"
#elif defined __AVX2__
#include "avx2.h"
#else
#include "neon.h"
#endif

/** Four integers without a sign. */
typedef uint32_t words4 __attribute__((vector_size(16)));
#define floats4_splat(x) ((floats4){x, x, x, x})

#if LANES == 8
typedef V floats8;
typedef doubles doubles8;
#define floats8_at(at) load_at(at, LANES)
#define floats8_splat(x) f32x4_splat(x)
#define floats8_sub(a, b) f32x4_sub(a, b)
#define floats8_mul(a, b) f32x4_mul(a, b)
#define doubles8_zero() doubles_zero()
#define doubles8_of(x) doubles_of(x)
#define doubles8_add(a, b) doubles_add(a, b)
#define doubles8_store(at, x) doubles_store(at, x)
#endif

#define f32x4_neg(a) v128_xor(a, i32x4_splat(INT32_MIN))
#define f32x4_abs(a) v128_and(a, i32x4_splat(INT32_MAX))

/** The smaller one: NaN if one is NaN, and −0 is smaller than 0. */
INLINE V f32x4_min(V a, V b) {
  const V least = v128_bitselect(v128_or(a, b), f32x4_pmin(a, b), f32x4_eq(a, b));
  return v128_bitselect(f32x4_add(a, b), least, lanes_unordered(a, b));
}

INLINE V f32x4_max(V a, V b) {
  const V most = v128_bitselect(v128_and(a, b), f32x4_pmax(a, b), f32x4_eq(a, b));
  return v128_bitselect(f32x4_add(a, b), most, lanes_unordered(a, b));
}

INLINE doubles doubles_zero(void) { return doubles_of(f32x4_splat(0)); }
INLINE doubles doubles_add(doubles a, doubles b) { return EACH_DOUBLE(a, +, b); }
INLINE doubles doubles_sub(doubles a, doubles b) { return EACH_DOUBLE(a, -, b); }
INLINE doubles doubles_mul(doubles a, doubles b) { return EACH_DOUBLE(a, *, b); }
INLINE doubles doubles_div(doubles a, doubles b) { return EACH_DOUBLE(a, /, b); }

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
