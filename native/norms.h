// Rows that are normalized: kernel.as.ts of layer_norm, over normalize.as.ts.
//
// A sum is in double: element i of a row goes to running sum i mod 8.
#pragma once
#include "vectors.h"

/** ((0 + 1) + (2 + 3)) + ((4 + 5) + (6 + 7)) */
INLINE double total_of_eight(doubles8 sums) {
  double s[8];
  doubles8_store(s, sums);
  return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}

/** Σ x */
static double sum_of(const float *x, int n) {
  doubles8 sums = doubles8_zero();
  int i = 0;
  for (; i + 8 <= n; i += 8) sums = doubles8_add(sums, doubles8_of(floats8_at(x + i)));
  double sum = total_of_eight(sums);
  for (; i < n; i++) sum += x[i];
  return sum;
}

/** Σ (x − mean)² */
static double deviations(const float *x, int n, float mean) {
  const floats8 m = floats8_splat(mean);
  doubles8 sums = doubles8_zero();
  int i = 0;
  for (; i + 8 <= n; i += 8) {
    const floats8 d = floats8_sub(floats8_at(x + i), m);
    sums = doubles8_add(sums, doubles8_of(floats8_mul(d, d)));
  }
  double sum = total_of_eight(sums);
  for (; i < n; i++) {
    const float d = x[i] - mean, square = d * d;
    sum += square;
  }
  return sum;
}

/** Σ g w and Σ g w x̂; without a weight, NULL, of g alone. */
static void slopes(const float *x, const float *g, const float *weight, int n, float mean, float scale, double *sum, double *dot) {
  const floats8 m = floats8_splat(mean), s = floats8_splat(scale);
  doubles8 sums = doubles8_zero(), dots = doubles8_zero();
  int i = 0;
  for (; i + 8 <= n; i += 8) {
    floats8 slope = floats8_at(g + i);
    if (weight != NULL) slope = floats8_mul(slope, floats8_at(weight + i));
    sums = doubles8_add(sums, doubles8_of(slope));
    const floats8 normal = floats8_mul(floats8_sub(floats8_at(x + i), m), s);
    dots = doubles8_add(dots, doubles8_of(floats8_mul(slope, normal)));
  }
  *sum = total_of_eight(sums);
  *dot = total_of_eight(dots);
  for (; i < n; i++) {
    const float slope = weight == NULL ? g[i] : g[i] * weight[i], normal = (x[i] - mean) * scale, product = slope * normal;
    *sum += slope;
    *dot += product;
  }
}

INLINE V normal_of(V x, V mean, V scale) { return f32x4_mul(f32x4_sub(x, mean), scale); }

INLINE void normalize(const float *x, float *y, int i, int lanes, V mean, V scale, const float *weight, const float *bias) {
  V value = normal_of(load_at(x + i, lanes), mean, scale);
  if (weight != NULL && bias != NULL) value = vector_fma(value, load_at(weight + i, lanes), load_at(bias + i, lanes));
  else if (weight != NULL) value = f32x4_mul(value, load_at(weight + i, lanes));
  store_at(y + i, value, lanes);
}

#define FLOATS_AT(address) ((float *)(memory + (address)))
#define FLOATS_OR_NULL(address) ((address) == 0 ? NULL : FLOATS_AT(address))

static void k_row_norm_forward(
    uint8_t *memory, uint32_t x_at, uint32_t y_at, uint32_t weight_at, uint32_t bias_at, uint32_t saved_at, int32_t rows,
    int32_t n, double eps, int32_t centered) {
  const float *x = FLOATS_AT(x_at), *weight = FLOATS_OR_NULL(weight_at), *bias = FLOATS_OR_NULL(bias_at);
  float *y = FLOATS_AT(y_at), *saved = FLOATS_AT(saved_at);
  for (int row = 0; row < rows; row++, x += n, y += n, saved += 2) {
    const float mean = centered ? (float)(sum_of(x, n) / (double)n) : 0;
    const float scale = (float)(1 / __builtin_sqrt(deviations(x, n, mean) / (double)n + eps));
    saved[0] = mean;
    saved[1] = scale;
    const V m = f32x4_splat(mean), s = f32x4_splat(scale);
    int i = 0;
    for (; i + LANES <= n; i += LANES) normalize(x, y, i, LANES, m, s, weight, bias);
    if (i < n) normalize(x, y, i, n - i, m, s, weight, bias);
  }
}

INLINE void slope_at(
    const float *x, const float *g, float *d, int i, int lanes, const float *weight, V mean, V scale, V sum, V dot) {
  V slope = load_at(g + i, lanes);
  if (weight != NULL) slope = f32x4_mul(slope, load_at(weight + i, lanes));
  const V normed = normal_of(load_at(x + i, lanes), mean, scale);
  store_at(d + i, f32x4_mul(f32x4_sub(f32x4_sub(slope, sum), f32x4_mul(normed, dot)), scale), lanes);
}

static void k_row_norm_backward(
    uint8_t *memory, uint32_t x_at, uint32_t g_at, uint32_t d_at, uint32_t weight_at, uint32_t saved_at, int32_t rows,
    int32_t n, int32_t centered) {
  const float *x = FLOATS_AT(x_at), *g = FLOATS_AT(g_at), *weight = FLOATS_OR_NULL(weight_at), *saved = FLOATS_AT(saved_at);
  float *d = FLOATS_AT(d_at);
  for (int row = 0; row < rows; row++, x += n, g += n, d += n, saved += 2) {
    double sum, dot;
    slopes(x, g, weight, n, saved[0], saved[1], &sum, &dot);
    const V m = f32x4_splat(saved[0]), s = f32x4_splat(saved[1]);
    const V a = f32x4_splat(centered ? (float)(sum / (double)n) : 0), b = f32x4_splat((float)(dot / (double)n));
    int i = 0;
    for (; i + LANES <= n; i += LANES) slope_at(x, g, d, i, LANES, weight, m, s, a, b);
    if (i < n) slope_at(x, g, d, i, n - i, weight, m, s, a, b);
  }
}

/** `count` vectors of columns from j on, the last of `last` lanes: as columns in kernel.as.ts. */
INLINE void norm_columns(
    float *out, const float *x, const float *g, const float *saved, int rows, int n, const int count, const int last) {
  for (int first = 0; first < rows; first += 256) {
    const int stop = first + 256 < rows ? first + 256 : rows;
    V sums[4];
#pragma GCC unroll 4
    for (int c = 0; c < count; c++) sums[c] = f32x4_splat(0);
    for (int row = first; row < stop; row++) {
      const V mean = f32x4_splat(saved[2 * row]), scale = f32x4_splat(saved[2 * row + 1]);
#pragma GCC unroll 4
      for (int c = 0; c < count; c++) {
        const ptrdiff_t at = (ptrdiff_t)row * n + c * LANES;
        const int lanes = c + 1 == count ? last : LANES;
        sums[c] = vector_fma(load_at(g + at, lanes), normal_of(load_at(x + at, lanes), mean, scale), sums[c]);
      }
    }
#pragma GCC unroll 4
    for (int c = 0; c < count; c++) {
      const int lanes = c + 1 == count ? last : LANES;
      if (first != 0) sums[c] = f32x4_add(load_at(out + c * LANES, lanes), sums[c]);
      store_at(out + c * LANES, sums[c], lanes);
    }
  }
}

static void k_row_norm_gradient(
    uint8_t *memory, uint32_t out, uint32_t x, uint32_t g, uint32_t saved, int32_t rows, int32_t n, int32_t begin,
    int32_t end) {
  int j = begin;
  for (; j + 4 * LANES <= end; j += 4 * LANES)
    norm_columns(FLOATS_AT(out) + j, FLOATS_AT(x) + j, FLOATS_AT(g) + j, FLOATS_AT(saved), rows, n, 4, LANES);
  for (; j + LANES <= end; j += LANES)
    norm_columns(FLOATS_AT(out) + j, FLOATS_AT(x) + j, FLOATS_AT(g) + j, FLOATS_AT(saved), rows, n, 1, LANES);
  if (j < end) norm_columns(FLOATS_AT(out) + j, FLOATS_AT(x) + j, FLOATS_AT(g) + j, FLOATS_AT(saved), rows, n, 1, end - j);
}
