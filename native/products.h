// Matrix products, as matmul.kernel.as.ts and gathered.kernel.as.ts define them: in each block of
// 256 along k an output is one chain of fused multiply-adds from +0; the blocks' sums are added in
// ascending order, then the bias. What differs here is the size of tiles, and what is packed.
//
// A tile is ROWS rows by two vectors of columns. All its numbers stay in registers.
#pragma once
#include "vectors.h"

#define BLOCK 256
#if LANES == 16
#define ROWS 12
/** Rows of A and C that go through all of B before the next ones: a block of A stays in cache. */
#define MOST_ROWS 384
#else
#define ROWS 6
#define MOST_ROWS 192
#endif
/** Columns in a panel of B. */
#define WIDTH (2 * LANES)
/**
 * With fewer rows than this a panel of B is read where it lies, if its columns lie side by side:
 * packing it would take longer than it saves.
 */
#define ROWS_TO_PACK 200

/** A packed panel has room for this many columns. */
static inline int rounded(int width) { return (width + 3) & ~3; }

/** How many lanes of a panel's last vector are read. Those that are not there mean nothing. */
static inline int lanes_read(int last) { return MASKED_LOADS ? last : rounded(last); }

/** Whether `rows` rows read a panel of B where it lies, given that its columns lie side by side. */
static inline int read_in_place(int rows, int width) { return rows < ROWS_TO_PACK && lanes_read(width) == width; }

static _Thread_local float panel_of_b[BLOCK * WIDTH] __attribute__((aligned(64)));
static _Thread_local float panel_of_a[BLOCK * MOST_ROWS] __attribute__((aligned(64)));

/** A part of B: number (p, j) lies at at + p × step + 4 j. `columns` of WIDTH are there. */
typedef struct {
  const uint8_t *at;
  ptrdiff_t step;
  int columns;
} panel;

/** Where the numbers of A lie: (i, p) at at + i × row + p × step. */
typedef struct {
  const uint8_t *at;
  ptrdiff_t row, step;
} rows_of_a;

/** What becomes of a tile's sums. `bias`: a number for each column, or, `by_row`, for each row. */
typedef struct {
  uint8_t *at;
  ptrdiff_t row;
  const uint8_t *bias;
  int add;
} output;

INLINE V splat_at(const uint8_t *at) {
  float value;
  memcpy(&value, at, 4);
  return f32x4_splat(value);
}

INLINE void put(const output to, const int by_row, const int r, const int v, V sum, const int lanes) {
  uint8_t *at = to.at + r * to.row + v * 4 * LANES;
  if (to.add) sum = f32x4_add(load_at(at, lanes), sum);
  if (to.bias != NULL) sum = f32x4_add(sum, by_row ? splat_at(to.bias + 4 * r) : load_at(to.bias + v * 4 * LANES, lanes));
  store_at(at, sum, lanes);
}

/**
 * A tile of `rows` rows by `vectors` vectors, the last of which has `last` lanes. All but `last` are
 * constants at every call.
 */
INLINE void tile(
    const int rows, const int vectors, const output to, const rows_of_a a, const panel b, const int depth, const int last) {
  V sums[ROWS][2];
  // C is written at the end. By then it has come into the cache.
#pragma GCC unroll 12
  for (int r = 0; r < rows; r++) {
    sums[r][0] = sums[r][1] = f32x4_splat(0);
    __builtin_prefetch(to.at + r * to.row, 1);
    if (vectors == 2) __builtin_prefetch(to.at + r * to.row + 4 * LANES, 1);
  }
  const uint8_t *at = b.at;
  const int read = lanes_read(last);
  // Three rows share a pointer, so that pointers stay in registers.
  const uint8_t *from[4] = {a.at, a.at + 3 * a.row, a.at + 6 * a.row, a.at + 9 * a.row};
  for (int p = 0; p < depth; p++) {
    const V left = load_at(at, vectors == 1 ? read : LANES);
    const V right = vectors == 1 ? left : load_at(at + 4 * LANES, read);
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++) {
      const V x = splat_at(from[r / 3] + (r % 3) * a.row);
      sums[r][0] = vector_fma(x, left, sums[r][0]);
      if (vectors == 2) sums[r][1] = vector_fma(x, right, sums[r][1]);
    }
    at += b.step;
#pragma GCC unroll 4
    for (int i = 0; i < (rows + 2) / 3; i++) from[i] += a.step;
  }
#pragma GCC unroll 12
  for (int r = 0; r < rows; r++) {
    put(to, 0, r, 0, sums[r][0], vectors == 1 ? last : LANES);
    if (vectors == 2) put(to, 0, r, 1, sums[r][1], last);
  }
}

/** All `m` rows of C against one panel of B. */
INLINE void tiles(const int vectors, output to, rows_of_a a, const panel b, const int m, const int depth, const int last) {
#define TILES(rows)                                         \
  for (; i + rows <= m; i += rows) {                        \
    tile(rows, vectors, to, a, b, depth, last);             \
    to.at += rows * to.row;                                 \
    a.at += rows * a.row;                                   \
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

static __attribute__((noinline)) void panel_by_column(output to, rows_of_a a, panel b, int m, int depth) {
  const int last = b.columns > LANES ? b.columns - LANES : b.columns;
  if (b.columns == WIDTH) tiles(2, to, a, b, m, depth, LANES);
  else if (b.columns > LANES) tiles(2, to, a, b, m, depth, last);
  else if (b.columns == LANES) tiles(1, to, a, b, m, depth, LANES);
  else tiles(1, to, a, b, m, depth, last);
}

static inline int least(int a, int b) { return a < b ? a : b; }

/** Copies `depth` rows of `width` numbers. */
static void pack_rows(float *to, int step, const uint8_t *b, ptrdiff_t row, int depth, int width) {
  for (int p = 0; p < depth; p++, b += row, to += step) {
    if (width == WIDTH) {
      store_at(to, load_at(b, LANES), LANES);
      store_at(to + LANES, load_at(b + 4 * LANES, LANES), LANES);
    } else {
      const int first = least(width, LANES);
      store_at(to, load_at(b, first), first);
      if (width > LANES) store_at(to + LANES, load_at(b + 4 * LANES, width - LANES), width - LANES);
    }
  }
}

/** The same from Bᵀ: column j of the panel is row j of b. */
static void pack_columns(float *to, int step, const uint8_t *b, ptrdiff_t row, int depth, int width) {
  int j = 0;
  for (; j + 4 <= width; j += 4, b += 4 * row) {
    float *at = to + j;
    int p = 0;
    for (; p + 4 <= depth; p += 4, at += 4 * step) {
      floats4 x0 = floats4_at(b + 4 * p), x1 = floats4_at(b + row + 4 * p);
      floats4 x2 = floats4_at(b + 2 * row + 4 * p), x3 = floats4_at(b + 3 * row + 4 * p);
      floats4_transpose(x0, x1, x2, x3);
      floats4_store(at, x0);
      floats4_store(at + step, x1);
      floats4_store(at + 2 * step, x2);
      floats4_store(at + 3 * step, x3);
    }
    for (; p < depth; p++, at += step)
      for (int i = 0; i < 4; i++) memcpy(at + i, b + i * row + 4 * p, 4);
  }
  for (; j < width; j++, b += row)
    for (int p = 0; p < depth; p++) memcpy(to + p * step + j, b + 4 * p, 4);
}

/** A matrix B: number (p, j) at at + p × row + 4 j or, `transposed`, at at + j × row + 4 p. */
typedef struct {
  const uint8_t *at;
  ptrdiff_t row;
  int transposed;
} matrix;

static panel pack(float *to, int step, matrix b, int p, int j, int depth, int width) {
  if (b.transposed) pack_columns(to, step, b.at + j * b.row + 4 * p, b.row, depth, width);
  else pack_rows(to, step, b.at + p * b.row + 4 * j, b.row, depth, width);
  return (panel){(const uint8_t *)to, 4 * step, width};
}

static void product(uint8_t *c, ptrdiff_t c_row, rows_of_a a, matrix b, int m, int n, int k, const uint8_t *bias, int add) {
  for (int i = 0; i < m; i += MOST_ROWS) {
    const int count = least(MOST_ROWS, m - i);
    for (int p = 0; p < k; p += BLOCK) {
      const int depth = least(BLOCK, k - p);
      const rows_of_a from = {a.at + i * a.row + p * a.step, a.row, a.step};
      for (int j = 0; j < n; j += WIDTH) {
        const int width = least(WIDTH, n - j);
        const panel part = !b.transposed && read_in_place(count, width)
                               ? (panel){b.at + p * b.row + 4 * j, b.row, width}
                               : pack(panel_of_b, WIDTH, b, p, j, depth, width);
        const uint8_t *here = p + depth == k && bias != NULL ? bias + 4 * j : NULL;
        panel_by_column((output){c + i * c_row + 4 * j, c_row, here, add || p != 0}, from, part, count, depth);
      }
    }
  }
}

static void k_matmul(
    uint8_t *memory, uint32_t c, uint32_t a, uint32_t b, int32_t m, int32_t n, int32_t k, int32_t c_row, int32_t a_row,
    int32_t a_step, int32_t b_row, int32_t transposed, uint32_t bias, uint32_t scratch) {
  product(memory + c, c_row, (rows_of_a){memory + a, a_row, a_step}, (matrix){memory + b, b_row, transposed}, m, n, k,
          bias == 0 ? NULL : memory + bias, 0);
}

static void k_matmul_add(
    uint8_t *memory, uint32_t c, uint32_t a, uint32_t b, int32_t m, int32_t n, int32_t k, int32_t c_row, int32_t a_row,
    int32_t a_step, int32_t b_row, int32_t transposed, uint32_t scratch) {
  product(memory + c, c_row, (rows_of_a){memory + a, a_row, a_step}, (matrix){memory + b, b_row, transposed}, m, n, k, NULL, 1);
}

/** Packs a block of A, whose numbers (i, p) lie at a + p × row + 4 i, as tiles read it. */
static void pack_tiles(float *to, const uint8_t *a, ptrdiff_t row, int depth, int m) {
  for (int i = 0; i < m; i += ROWS) {
    const int count = least(ROWS, m - i);
    const uint8_t *from = a + 4 * i;
    for (int p = 0; p < depth; p++, from += row, to += count) {
      // With a constant as the length it is no call.
      if (count == ROWS) memcpy(to, from, 4 * ROWS);
      else memcpy(to, from, 4 * count);
    }
  }
}

static void k_matmul_transposed(
    uint8_t *memory, uint32_t c, uint32_t a, uint32_t b, int32_t m, int32_t n, int32_t k, int32_t c_row, int32_t a_row,
    int32_t b_row, uint32_t scratch) {
  for (int i = 0; i < m; i += MOST_ROWS) {
    const int count = least(MOST_ROWS, m - i), whole = count / ROWS * ROWS;
    for (int p = 0; p < k; p += BLOCK) {
      const int depth = least(BLOCK, k - p);
      const ptrdiff_t here = p * (ptrdiff_t)a_row + 4 * i;
      pack_tiles(panel_of_a, memory + a + here, a_row, depth, count);
      for (int j = 0; j < n; j += WIDTH) {
        const int width = least(WIDTH, n - j);
        const matrix from = {memory + b, b_row, 0};
        const panel part = read_in_place(count, width) ? (panel){from.at + p * from.row + 4 * j, b_row, width}
                                                       : pack(panel_of_b, WIDTH, from, p, j, depth, width);
        const output to = {memory + c + i * (ptrdiff_t)c_row + 4 * j, c_row, NULL, p != 0};
        for (int t = 0; t < whole; t += ROWS)
          panel_by_column((output){to.at + t * to.row, to.row, NULL, to.add},
                          (rows_of_a){(const uint8_t *)(panel_of_a + t * depth), 4, 4 * ROWS}, part, ROWS, depth);
        if (whole < count)
          panel_by_column((output){to.at + whole * to.row, to.row, NULL, to.add},
                          (rows_of_a){(const uint8_t *)(panel_of_a + whole * depth), 4, 4 * (count - whole)}, part,
                          count - whole, depth);
      }
    }
  }
}

// Packed panels are k × n floats, n rounded up to a multiple of 4, like those of WebAssembly. But
// they are wider. So the two kinds must not meet: both functions decide by n × k (native-kernels.ts).

static void k_pack_panels(
    uint8_t *memory, uint32_t panels, uint32_t b, int32_t n, int32_t k, int32_t b_row, int32_t transposed) {
  float *to = (float *)(memory + panels);
  for (int p = 0; p < k; p += BLOCK) {
    const int depth = least(BLOCK, k - p);
    for (int j = 0; j < n; j += WIDTH) {
      const int width = least(WIDTH, n - j);
      pack(to, rounded(width), (matrix){memory + b, b_row, transposed}, p, j, depth, width);
      to += depth * rounded(width);
    }
  }
}

static void k_matmul_packed(
    uint8_t *memory, uint32_t c, uint32_t a, uint32_t panels, int32_t m, int32_t n, int32_t k, int32_t c_row, int32_t a_row,
    int32_t a_step, uint32_t bias) {
  const uint8_t *from = memory + panels;
  for (int p = 0; p < k; p += BLOCK) {
    const int depth = least(BLOCK, k - p);
    for (int j = 0; j < n; j += WIDTH) {
      const int width = least(WIDTH, n - j);
      const uint8_t *here = p + depth == k && bias != 0 ? memory + bias + 4 * j : NULL;
      panel_by_column((output){memory + c + 4 * j, c_row, here, p != 0},
                      (rows_of_a){memory + a + p * (ptrdiff_t)a_step, a_row, a_step},
                      (panel){from, 4 * rounded(width), width}, m, depth);
      from += 4 * depth * rounded(width);
    }
  }
}
