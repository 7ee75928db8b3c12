// Kernels of packs whose sums are in double: pack.kernel.as.ts, and kernel.as.ts of cross_entropy.
// A vector holds the same number of LANES models.
#pragma once
#include "vectors.h"

/** Bytes of one number of all 16 models. */
#define PACK 64

/** What a row of cross entropy reads and writes: addresses of the first of its lanes. */
typedef struct {
  uint8_t *memory;
  uint32_t x, weight, gradient;
  int classes;
  V greatest, spread;
} pack_row;

INLINE V row_load(const pack_row *row, uint32_t array, int j) {
  return vector_load(row->memory, array + PACK * (uint32_t)j, LANES);
}

/** e^z, which it also writes to the gradient. */
INLINE V row_exponential(const pack_row *row, int j) {
  const V e = kernels_math_exp(row->memory, f32x4_sub(row_load(row, row->x, j), row->greatest));
  if (row->gradient != 0) vector_store(row->memory, row->gradient + PACK * (uint32_t)j, e, LANES);
  return e;
}

INLINE V row_mass(const pack_row *row, int j) { return f32x4_mul(row_load(row, row->weight, j), row->spread); }

INLINE V row_dot(const pack_row *row, int j) {
  return f32x4_mul(row_mass(row, j), f32x4_sub(row_load(row, row->x, j), row->greatest));
}

/** `totalOf` of a term. */
#define ROW_TOTAL(name, term)                                             \
  INLINE doubles name(const pack_row *row) {                              \
    const int whole = row->classes & ~3;                                  \
    doubles total = doubles_zero();                                       \
    int j = 0;                                                            \
    while (j < whole) {                                                   \
      const int end = j + 256 < whole ? j + 256 : whole;                  \
      V a = f32x4_splat(0), b = a, c = a, d = a;                          \
      for (; j < end; j += 4) {                                           \
        a = f32x4_add(a, term(row, j));                                   \
        b = f32x4_add(b, term(row, j + 1));                               \
        c = f32x4_add(c, term(row, j + 2));                               \
        d = f32x4_add(d, term(row, j + 3));                               \
      }                                                                   \
      const V sum = f32x4_add(f32x4_add(a, b), f32x4_add(c, d));          \
      total = doubles_add(total, doubles_of(sum));                        \
    }                                                                     \
    for (; j < row->classes; j++) total = doubles_add(total, doubles_of(term(row, j))); \
    return total;                                                         \
  }

ROW_TOTAL(total_exponential, row_exponential)
ROW_TOTAL(total_mass, row_mass)
ROW_TOTAL(total_dot, row_dot)

/** `maximumOfFour` */
INLINE V row_maximum(const pack_row *row) {
  V a = f32x4_splat(-__builtin_inff()), b = a, c = a, d = a;
  int j = 0;
  for (; j + 4 <= row->classes; j += 4) {
    a = f32x4_pmax(a, row_load(row, row->x, j));
    b = f32x4_pmax(b, row_load(row, row->x, j + 1));
    c = f32x4_pmax(c, row_load(row, row->x, j + 2));
    d = f32x4_pmax(d, row_load(row, row->x, j + 3));
  }
  for (; j < row->classes; j++) {
    const V one = row_load(row, row->x, j);
    a = f32x4_pmax(a, one);
    b = f32x4_pmax(b, one);
    c = f32x4_pmax(c, one);
    d = f32x4_pmax(d, one);
  }
  return f32x4_pmax(f32x4_pmax(a, c), f32x4_pmax(b, d));
}

/** `lossOfFour`, of LANES models. */
INLINE void row_loss(pack_row *row, V index, uint32_t term, float smoothing, int ignored, V scale) {
  const V kept = f32x4_splat(1 - smoothing);
  const V is_ignored = lanes_same(index, i32x4_splat(ignored));
  const V counts = v128_andnot(lanes_below(index, i32x4_splat(row->classes)), is_ignored);
  row->spread = f32x4_splat(smoothing / (float)row->classes);
  row->greatest = row_maximum(row);
  V right = f32x4_splat(0), own = right;
  for (int j = 0; j < row->classes; j++) {
    const V is = lanes_same(index, i32x4_splat(j));
    right = v128_bitselect(row_load(row, row->x, j), right, is);
    own = v128_bitselect(row_load(row, row->weight, j), own, is);
  }
  const doubles sum = total_exponential(row);
  doubles mass = doubles_zero(), dot = mass;
  if (smoothing != 0) {
    mass = total_mass(row);
    dot = total_dot(row);
  }
  const doubles share = doubles_of(f32x4_mul(kept, own));
  mass = doubles_add(mass, share);
  dot = doubles_add(dot, doubles_mul(share, doubles_of(f32x4_sub(right, row->greatest))));
  if (row->gradient != 0) {
    const V factor = floats_of(doubles_div(doubles_mul(mass, doubles_of(scale)), sum));
    const V pull = f32x4_mul(f32x4_mul(scale, kept), own);
    for (int j = 0; j < row->classes; j++) {
      const V slope = f32x4_sub(f32x4_mul(row_load(row, row->gradient, j), factor), f32x4_mul(scale, row_mass(row, j)));
      const V all = v128_bitselect(f32x4_sub(slope, pull), slope, lanes_same(index, i32x4_splat(j)));
      vector_store(row->memory, row->gradient + PACK * (uint32_t)j, v128_and(all, counts), LANES);
    }
  }
  const doubles log_sum = doubles_of(kernels_math_log(row->memory, floats_of(sum)));
  const V loss = floats_of(doubles_sub(doubles_mul(mass, log_sum), dot));
  vector_store(row->memory, term, v128_and(loss, counts), LANES);
}

static void k_pack_cross_entropy(uint8_t *memory, uint32_t x, uint32_t target, uint32_t weight, uint32_t terms,
                                 uint32_t gradient, int32_t rows, int32_t classes, float smoothing, int32_t ignored,
                                 uint32_t scales) {
  for (uint32_t i = 0; i < PACK; i += 4 * LANES) {
    const V scale = vector_load(memory, scales + i, LANES);
    for (int32_t r = 0; r < rows; r++) {
      const uint32_t at = i + PACK * (uint32_t)classes * (uint32_t)r, one = i + PACK * (uint32_t)r;
      pack_row row = {memory, x + at, weight + i, gradient == 0 ? 0 : gradient + at, classes};
      row_loss(&row, vector_load(memory, target + one, LANES), terms + one, smoothing, ignored, scale);
    }
  }
}
