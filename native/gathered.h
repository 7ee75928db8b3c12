// Products whose B is gathered, as gathered.kernel.as.ts has them: number (p, j) of B lies at b +
// lanes[j] + steps[p].
//
// Columns of a convolution mostly lie side by side, in runs as long as a row of the image or of the
// kernel. So a vector of columns is read where it lies, run by run, each with a mask. Only vectors
// of more than four runs are packed. Without masked loads only vectors that are one whole run are
// read where they lie.
#pragma once
#include "products.h"
#include "vectors.h"

#define MOST_RUNS (MASKED_LOADS ? 4 : 1)

/** A vector of columns in runs. Lane j of run r is read at at[r] + steps[p] + 4 j. */
typedef struct {
  int runs, columns;
  const uint8_t *at[MOST_RUNS];
#if MASKED_LOADS
  lane_mask mask[MOST_RUNS];
#endif
} gathered;

INLINE void set_run(gathered *v, int run, const uint8_t *at, int begin, int end) {
  v->at[run] = at;
#if MASKED_LOADS
  v->mask[run] = lanes_between(begin, end);
#endif
}

/** Bit j says that a run ends with column j of `columns`. */
static uint32_t ends_of(const int32_t *lanes, int columns) {
  const int others = columns - 1;
  const V distance = i32x4_sub(load_at(lanes + 1, others), load_at(lanes, others));
  const uint32_t last = 1u << others;
  return (~lane_bits(lanes_same(distance, i32x4_splat(4))) & (last - 1)) | last;
}

/** Finds the runs of `columns` columns; their number is MOST_RUNS + 1 if there are more. */
static gathered runs_of(const uint8_t *b, const int32_t *lanes, int columns) {
  gathered v = {0, columns};
  uint32_t ends = columns > 0 ? ends_of(lanes, columns) : 0;
  for (int begin = 0; begin < columns; ends &= ends - 1) {
    const int end = __builtin_ctz(ends) + 1;
    if (v.runs == MOST_RUNS) {
      v.runs++;
      return v;
    }
    set_run(&v, v.runs++, b + lanes[begin] - 4 * begin, begin, end);
    begin = end;
  }
  // Tiles have 1, 2 or 4 runs: those that are missing read nothing.
  for (int r = v.runs; r < MOST_RUNS; r++) set_run(&v, r, v.runs == 0 ? b : v.at[0], 0, 0);
  return v;
}

/** The vector's numbers of one step. Vectors of one run may be whole. */
INLINE V read_runs(const gathered *v, const int runs, const int whole, ptrdiff_t step) {
#if MASKED_LOADS
  if (!whole) {
    V x = load_masked(v->at[0] + step, v->mask[0]);
    if (runs > 1) x = load_masked_over(x, v->at[1] + step, v->mask[1]);
    if (runs > 2) {
      x = load_masked_over(x, v->at[2] + step, v->mask[2]);
      x = load_masked_over(x, v->at[3] + step, v->mask[3]);
    }
    return x;
  }
#endif
  return load_at(v->at[0] + step, LANES);
}

/** `tile` of products.h, with two vectors of columns that are gathered. */
INLINE void gathered_tile(
    const int rows, const int runs, const int whole, const output to, const rows_of_a a, const gathered *left,
    const gathered *right, const int32_t *steps, const int depth) {
  const gathered l = *left, r2 = *right;
  V sums[ROWS][2];
#pragma GCC unroll 12
  for (int r = 0; r < rows; r++) sums[r][0] = sums[r][1] = f32x4_splat(0);
  const uint8_t *from[4] = {a.at, a.at + 3 * a.row, a.at + 6 * a.row, a.at + 9 * a.row};
  for (int p = 0; p < depth; p++) {
    const V x0 = read_runs(&l, runs, whole, steps[p]), x1 = read_runs(&r2, runs, whole, steps[p]);
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++) {
      const V x = splat_at(from[r / 3] + (r % 3) * a.row);
      sums[r][0] = vector_fma(x, x0, sums[r][0]);
      sums[r][1] = vector_fma(x, x1, sums[r][1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < (rows + 2) / 3; i++) from[i] += a.step;
  }
#pragma GCC unroll 12
  for (int r = 0; r < rows; r++) {
    put(to, 1, r, 0, sums[r][0], l.columns);
    if (r2.columns > 0) put(to, 1, r, 1, sums[r][1], r2.columns);
  }
}

/** All `m` rows of C against two vectors of columns. */
INLINE void gathered_tiles(
    const int runs, const int whole, output to, rows_of_a a, const gathered *left, const gathered *right,
    const int32_t *steps, int m, int depth) {
#define TILES(rows)                                                           \
  for (; i + rows <= m; i += rows) {                                          \
    gathered_tile(rows, runs, whole, to, a, left, right, steps, depth);       \
    to.at += rows * to.row;                                                   \
    a.at += rows * a.row;                                                     \
    if (to.bias != NULL) to.bias += 4 * rows;                                 \
  }
  int i = 0;
  TILES(ROWS)
#if ROWS == 12
  TILES(8)
  TILES(6)
#endif
  TILES(4)
  TILES(2)
  TILES(1)
#undef TILES
}

// One function for each kind of vector, because compilers take long over large ones.
#define GATHERED_TILES(name, runs, whole)                                                                        \
  static __attribute__((noinline)) void name(                                                                    \
      output to, rows_of_a a, const gathered *left, const gathered *right, const int32_t *steps, int m, int depth) { \
    gathered_tiles(runs, whole, to, a, left, right, steps, m, depth);                                            \
  }
GATHERED_TILES(tiles_of_whole, 1, 1)
#if MASKED_LOADS
GATHERED_TILES(tiles_of_one, 1, 0)
GATHERED_TILES(tiles_of_two, 2, 0)
GATHERED_TILES(tiles_of_four, 4, 0)
#endif
#undef GATHERED_TILES

/** Packs two vectors of columns that lie anywhere: they become one whole run each. */
static __attribute__((noinline)) void pack_gathered(
    gathered v[2], const uint8_t *b, const int32_t *lanes, const int32_t *steps, int depth, int width) {
  float *to = panel_of_b;
  for (int p = 0; p < depth; p++, to += WIDTH) {
    const uint8_t *from = b + steps[p];
    for (int j = 0; j < width; j++) memcpy(to + j, from + lanes[j], 4);
  }
  for (int i = 0; i < 2; i++) {
    const int columns = width - i * LANES < 0 ? 0 : least(LANES, width - i * LANES);
    v[i] = (gathered){1, columns};
    set_run(&v[i], 0, (const uint8_t *)(panel_of_b + i * LANES), 0, columns);
  }
}

/** Where each step of a packed panel lies. */
static const int32_t *steps_of_panel(void) {
  static _Thread_local int32_t steps[BLOCK];
  if (steps[1] == 0)
    for (int p = 0; p < BLOCK; p++) steps[p] = p * WIDTH * 4;
  return steps;
}

static void k_matmul_gathered(
    uint8_t *memory, uint32_t c, uint32_t a, uint32_t b, int32_t m, int32_t n, int32_t k, int32_t c_row, int32_t a_row,
    int32_t a_step, uint32_t lanes, uint32_t steps, int32_t add, uint32_t bias, uint32_t scratch) {
  const int32_t *columns = (const int32_t *)(memory + lanes);
  for (int j = 0; j < n; j += WIDTH) {
    const int width = least(WIDTH, n - j), first = least(width, LANES);
    const gathered found[2] = {runs_of(memory + b, columns + j, first),
                               runs_of(memory + b, columns + j + first, width - first)};
    const int runs = found[0].runs > found[1].runs ? found[0].runs : found[1].runs;
    int p = 0;
    do {
      const int depth = least(BLOCK, k - p);
      const int32_t *terms = (const int32_t *)(memory + steps) + p;
      const uint8_t *here = p + depth == k && bias != 0 ? memory + bias : NULL;
      const output to = {memory + c + 4 * j, c_row, here, p != 0 || add};
      const rows_of_a from = {memory + a + p * (ptrdiff_t)a_step, a_row, a_step};
      if (runs == 1 && width == WIDTH) {
        tiles_of_whole(to, from, &found[0], &found[1], terms, m, depth);
      } else if (runs > MOST_RUNS || !MASKED_LOADS) {
        gathered packed[2];
        pack_gathered(packed, memory + b, columns + j, terms, depth, width);
        tiles_of_whole(to, from, &packed[0], &packed[1], steps_of_panel(), m, depth);
#if MASKED_LOADS
      } else if (runs == 1) {
        tiles_of_one(to, from, &found[0], &found[1], terms, m, depth);
      } else if (runs == 2) {
        tiles_of_two(to, from, &found[0], &found[1], terms, m, depth);
      } else {
        tiles_of_four(to, from, &found[0], &found[1], terms, m, depth);
#endif
      }
      p += BLOCK;
    } while (p < k);
  }
}
