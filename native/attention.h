// Attention without a matrix of scores, as kernel.as.ts of scaled_dot_product_attention has it: in
// the same tiles and strips, which are part of the arithmetic.
//
// A row of a tile has room for 64 numbers, so that whole vectors of it may be written. What lies
// beyond the keys that a query sees is −∞ before the exponential, and adds 0 to the sum.
#pragma once
#include "products.h"
#include "vectors.h"

#define TILE 64
#define STRIP 16
/** Bytes from one row of a tile to the next. */
#define TILE_ROW (TILE * 4)

typedef float tile_of_scores[TILE][TILE];

static _Thread_local tile_of_scores scores __attribute__((aligned(64))), score_slopes __attribute__((aligned(64)));

/** The dropout of the calls that follow. */
static _Thread_local struct {
  double p;
  uint32_t block, step, stream, low, high;
} dropped;

static void k_attention_dropout(
    uint8_t *memory, double p, uint32_t block, uint32_t batch, uint32_t layer, uint32_t low, uint32_t high) {
  dropped.p = p;
  dropped.block = block;
  dropped.step = batch;
  dropped.stream = layer;
  dropped.low = low;
  dropped.high = high;
}

/** philox.as.ts */
static words4 philox(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t key0, uint32_t key1) {
  for (int round = 0; round < 10; round++) {
    const uint64_t product0 = 0xd2511f53ull * c0, product1 = 0xcd9e8d57ull * c2;
    c0 = (uint32_t)(product1 >> 32) ^ c1 ^ key0;
    c1 = (uint32_t)product1;
    c2 = (uint32_t)(product0 >> 32) ^ c3 ^ key1;
    c3 = (uint32_t)product0;
    key0 += 0x9e3779b9u;
    key1 += 0xbb67ae85u;
  }
  return (words4){c0, c1, c2, c3};
}

/** Dropout of the `seen` keys of a row. */
static void drop(float *row, int seen, int query, int key, int keys) {
  const double edge = dropped.p * 4294967296.0;
  const int all = edge >= 4294967296.0;
  const uint32_t first = all ? 0 : (uint32_t)__builtin_ceil(edge), mask = all ? 0 : UINT32_MAX;
  const words4 threshold = {first, first, first, first}, allowed = {mask, mask, mask, mask};
  const floats4 scale = floats4_splat((float)(1 / (1 - dropped.p)));
  uint32_t block = dropped.block + (uint32_t)query * (uint32_t)((keys + 3) >> 2) + ((uint32_t)key >> 2);
  for (int i = 0; i < seen; i += 4, block++) {
    const words4 words = philox(block, dropped.step, dropped.stream, 3, dropped.low, dropped.high);
    const words4 kept = (words4)(words >= threshold) & allowed;
    floats4_store(row + i, (floats4)(kept & (words4)(floats4_at(row + i) * scale)));
  }
}

/** (0 + 1) + (2 + 3) */
static float total_of(floats4 lanes) {
  float s[4];
  floats4_store(s, lanes);
  return (s[0] + s[1]) + (s[2] + s[3]);
}

static float first_lane(V x) {
  float lanes[LANES];
  store_at(lanes, x, LANES);
  return lanes[0];
}

static int whole_vectors(int count) { return (count + LANES - 1) & -LANES; }

static void zero_row(float *row, int from, int to) {
  for (int i = from; i < to; i += LANES) store_at(row + i, f32x4_splat(0), LANES);
}

static void hide(float *row, int seen, const int32_t *sight, float value) {
  for (int i = seen; i < whole_vectors(seen); i++) row[i] = value;
  if (sight == NULL) return;
  for (int i = 0; i < seen; i++)
    if (sight[i] == 0) row[i] = value;
}

static float exponentials(
    uint8_t *memory, float *row, int seen, int width, float scale, const int32_t *sight, float *most, float *sums) {
  const int stop = whole_vectors(seen);
  const float before = *most;
  const V s = f32x4_splat(scale);
  for (int i = 0; i < stop; i += LANES) store_at(row + i, f32x4_mul(load_at(row + i, LANES), s), LANES);
  hide(row, seen, sight, -__builtin_inff());
  V greatest = f32x4_splat(before);
  for (int i = 0; i < stop; i += LANES) greatest = f32x4_pmax(greatest, load_at(row + i, LANES));
  float lanes[LANES];
  store_at(lanes, greatest, LANES);
  float now = lanes[0];
  for (int i = 1; i < LANES; i++) now = now < lanes[i] ? lanes[i] : now;
  const V reference = f32x4_splat(now == -__builtin_inff() ? 0 : now);
  floats4 sum = floats4_splat(0);
  for (int i = 0; i < stop; i += LANES) {
    store_at(row + i, kernels_math_exp(memory, f32x4_sub(load_at(row + i, LANES), reference)), LANES);
    for (int q = 0; q < LANES; q += 4) sum = sum + floats4_at(row + i + q);
  }
  zero_row(row, stop, width);
  const float shrink = first_lane(kernels_math_exp(memory, f32x4_sub(f32x4_splat(before), reference)));
  *most = now;
  *sums = *sums * shrink + total_of(sum);
  return shrink;
}

static void derive_scores(
    uint8_t *memory, float *row, float *slopes, int seen, int width, float scale, const int32_t *sight, float sum, float dot) {
  const int stop = whole_vectors(seen);
  const V s = f32x4_splat(scale), l = f32x4_splat(sum), d = f32x4_splat(dot);
  for (int i = 0; i < stop; i += LANES) {
    const V p = kernels_math_exp(memory, f32x4_sub(f32x4_mul(load_at(row + i, LANES), s), l));
    store_at(row + i, p, LANES);
    store_at(slopes + i, f32x4_mul(f32x4_mul(p, f32x4_sub(load_at(slopes + i, LANES), d)), s), LANES);
  }
  hide(row, seen, sight, 0);
  hide(slopes, seen, sight, 0);
  zero_row(row, stop, width);
  zero_row(slopes, stop, width);
}

static void multiply_row(uint8_t *at, int count, float factor) {
  float *x = (float *)at;
  const V f = f32x4_splat(factor);
  int i = 0;
  for (; i + LANES <= count; i += LANES) store_at(x + i, f32x4_mul(load_at(x + i, LANES), f), LANES);
  if (i < count) store_at(x + i, f32x4_mul(load_at(x + i, count - i), f), count - i);
}

/** Element i goes to running sum i mod 4; those after the last whole four are added last. */
static float dot_of(const uint8_t *a, const uint8_t *b, int count) {
  const float *x = (const float *)a, *y = (const float *)b;
  floats4 sum = floats4_splat(0);
  int i = 0;
  for (; i + 4 <= count; i += 4) sum = floats4_fma(floats4_at(x + i), floats4_at(y + i), sum);
  float result = total_of(sum);
  for (; i < count; i++) {
    const float term = x[i] * y[i];
    result += term;
  }
  return result;
}

/** Rows of numbers, `row` bytes apart. */
typedef struct {
  uint8_t *at;
  ptrdiff_t row;
} lines;

static lines from_line(lines of, int i) { return (lines){of.at + i * of.row, of.row}; }

static void products_of(tile_of_scores to, lines a, lines b, int height, int width, int size, int half) {
  const int strip = half ? STRIP : TILE, last = half ? least(width, height) : width;
  for (int j = 0; j < last; j += strip) {
    const int first = half ? j : 0;
    const lines from = from_line(a, first), with = from_line(b, j);
    product((uint8_t *)&to[first][j], TILE_ROW, (rows_of_a){from.at, from.row, 4}, (matrix){with.at, with.row, 1},
            height - first, least(strip, width - j), size, NULL, 0);
  }
}

static void by_queries(lines out, tile_of_scores tile, lines b, int height, int size, int width, int half, int add) {
  const int strip = half ? STRIP : TILE;
  for (int i = 0; i < height; i += strip)
    product(out.at + i * out.row, out.row, (rows_of_a){(uint8_t *)tile[i], TILE_ROW, 4}, (matrix){b.at, b.row, 0},
            least(strip, height - i), size, half ? least(width, i + strip) : width, NULL, add);
}

static void by_keys(lines out, tile_of_scores tile, lines b, int height, int size, int width, int half) {
  const int strip = half ? STRIP : TILE, last = half ? least(width, height) : width;
  for (int j = 0; j < last; j += strip) {
    const int first = half ? j : 0;
    const lines from = from_line(b, first);
    product(out.at + j * out.row, out.row, (rows_of_a){(uint8_t *)&tile[first][j], 4, TILE_ROW},
            (matrix){from.at, from.row, 0}, least(strip, width - j), size, height - first, NULL, 1);
  }
}

static const int32_t *sight_of(uint8_t *memory, uint32_t mask, int query, int32_t mask_row, int key) {
  return mask == 0 ? NULL : (const int32_t *)(memory + mask + query * (ptrdiff_t)mask_row + 4 * key);
}

static void k_attention_forward(
    uint8_t *memory, uint32_t q_at, uint32_t k_at, uint32_t v_at, uint32_t y_at, uint32_t rest_at, int32_t queries,
    int32_t keys, int32_t size, int32_t value_size, int32_t q_row, int32_t k_row, int32_t v_row, int32_t y_row, float scale,
    int32_t causal, uint32_t mask, int32_t mask_row, uint32_t scratch) {
  const lines q = {memory + q_at, q_row}, k = {memory + k_at, k_row}, v = {memory + v_at, v_row}, y = {memory + y_at, y_row};
  float *rest = (float *)(memory + rest_at), most[TILE], sums[TILE];
  for (int i = 0; i < queries; i += TILE) {
    const int height = least(TILE, queries - i), end = causal ? least(keys, i + height) : keys;
    const lines out = from_line(y, i);
    for (int r = 0; r < height; r++) {
      most[r] = -__builtin_inff();
      sums[r] = 0;
    }
    for (int j = 0; j < end; j += TILE) {
      const int width = least(TILE, keys - j), half = causal && i == j;
      products_of(scores, from_line(q, i), from_line(k, j), height, width, size, half);
      for (int r = 0; r < height; r++) {
        const int seen = causal ? least(width, i + r + 1 - j) : width;
        const int32_t *sight = sight_of(memory, mask, i + r, mask_row, j);
        const float shrink = exponentials(memory, scores[r], seen, width, scale, sight, &most[r], &sums[r]);
        if (dropped.p != 0) drop(scores[r], seen, i + r, j, keys);
        if (j != 0 && shrink != 1) multiply_row(from_line(out, r).at, value_size, shrink);
      }
      by_queries(out, scores, from_line(v, j), height, value_size, width, half, j != 0);
    }
    for (int r = 0; r < height; r++) {
      const int none = sums[r] == 0;
      multiply_row(from_line(out, r).at, value_size, none ? 0 : 1 / sums[r]);
      const float logarithm = first_lane(kernels_math_log(memory, f32x4_splat(sums[r])));
      rest[i + r] = none ? __builtin_inff() : most[r] + logarithm;
    }
  }
}

static void k_attention_backward(
    uint8_t *memory, uint32_t q_at, uint32_t k_at, uint32_t v_at, uint32_t y_at, uint32_t g_at, uint32_t rest_at,
    uint32_t dq_at, uint32_t dk_at, uint32_t dv_at, int32_t queries, int32_t keys, int32_t size, int32_t value_size,
    int32_t q_row, int32_t k_row, int32_t v_row, int32_t y_row, float scale, int32_t causal, uint32_t mask, int32_t mask_row,
    uint32_t scratch) {
  const lines q = {memory + q_at, q_row}, k = {memory + k_at, k_row}, v = {memory + v_at, v_row}, y = {memory + y_at, y_row};
  const lines g = {memory + g_at, y_row}, dq = {memory + dq_at, q_row}, dk = {memory + dk_at, k_row}, dv = {memory + dv_at, v_row};
  const float *rest = (const float *)(memory + rest_at);
  for (int j = 0; j < keys; j++) {
    if (dk_at != 0) memset(from_line(dk, j).at, 0, 4 * size);
    if (dv_at != 0) memset(from_line(dv, j).at, 0, 4 * value_size);
  }
  for (int i = 0; i < queries; i += TILE) {
    const int height = least(TILE, queries - i), end = causal ? least(keys, i + height) : keys;
    const lines query = from_line(q, i), slope = from_line(g, i);
    float dots[TILE];
    for (int r = 0; r < height; r++) dots[r] = dot_of(from_line(y, i + r).at, from_line(slope, r).at, value_size);
    for (int j = 0; j < end; j += TILE) {
      const int width = least(TILE, keys - j), half = causal && i == j;
      products_of(scores, query, from_line(k, j), height, width, size, half);
      products_of(score_slopes, slope, from_line(v, j), height, width, value_size, half);
      for (int r = 0; r < height; r++) {
        const int seen = causal ? least(width, i + r + 1 - j) : width;
        const int32_t *sight = sight_of(memory, mask, i + r, mask_row, j);
        if (dropped.p != 0) drop(score_slopes[r], seen, i + r, j, keys);
        derive_scores(memory, scores[r], score_slopes[r], seen, width, scale, sight, rest[i + r], dots[r]);
        if (dropped.p != 0) drop(scores[r], seen, i + r, j, keys);
      }
      if (dv_at != 0) by_keys(from_line(dv, j), scores, slope, height, value_size, width, half);
      if (dk_at != 0) by_keys(from_line(dk, j), score_slopes, query, height, size, width, half);
      if (dq_at != 0) by_queries(from_line(dq, i), score_slopes, from_line(k, j), height, size, width, half, j != 0);
    }
  }
}
