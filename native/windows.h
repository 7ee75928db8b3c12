// Windows of planes, as kernel.as.ts of max_pool2d and of conv2d have them.
#pragma once
#include "norms.h"
#include "products.h"
#include "vectors.h"

static inline int clamped(int x, int most) { return x < 0 ? 0 : x > most ? most : x; }

/** The first `lanes` floats of those that lie `stride` floats apart; zeros in the other lanes. */
INLINE V load_apart(const float *at, int stride, int lanes) {
  if (stride == 1) return load_at(at, lanes);
  if (stride == 2) {
    const int reach = 2 * lanes - 1;
    return even_lanes(load_at(at, clamped(reach, LANES)), load_at(at + LANES, clamped(reach - LANES, LANES)));
  }
  float found[LANES] = {0};
  for (int i = 0; i < lanes; i++) found[i] = at[i * stride];
  return load_at(found, LANES);
}

/** How the windows of a plane lie. */
typedef struct {
  int height, width, kernel_rows, kernel_columns, stride, padding, dilation_rows, dilation_columns;
} pooling;

/** Windows j… of a row, whose columns all lie inside, over the kernel's rows first..last. */
INLINE void windows_inside(
    float *y, int32_t *places, const float *x, const pooling *of, int top, int first, int last, int j, int lanes,
    const int stride) {
  int32_t distances[LANES];
  for (int i = 0; i < LANES; i++) distances[i] = i * stride;
  const V apart = load_at(distances, LANES);
  const int left = j * stride - of->padding;
  V most = f32x4_splat(-__builtin_inff());
  V place = first < last ? i32x4_add(i32x4_splat((top + first * of->dilation_rows) * of->width + left), apart)
                         : i32x4_splat(-1);
  for (int p = first; p < last; p++) {
    const int row = (top + p * of->dilation_rows) * of->width + left;
    for (int q = 0; q < of->kernel_columns; q++) {
      const int at = row + q * of->dilation_columns;
      const V value = load_apart(x + at, stride, lanes);
      const V wins = v128_or(f32x4_gt(value, most), f32x4_ne(value, value));
      most = vector_select(value, most, wins);
      place = vector_select(i32x4_add(i32x4_splat(at), apart), place, wins);
    }
  }
  store_at(y + j, most, lanes);
  store_at(places + j, place, lanes);
}

/** Window j of a row, of which some columns may lie outside. */
static void window_at_edge(
    float *y, int32_t *places, const float *x, const pooling *of, int top, int first, int last, int j) {
  const int left = j * of->stride - of->padding;
  float most = -__builtin_inff();
  int place = -1;
  for (int p = first; p < last; p++) {
    for (int q = 0; q < of->kernel_columns; q++) {
      const int column = left + q * of->dilation_columns;
      if (column < 0 || column >= of->width) continue;
      const int at = (top + p * of->dilation_rows) * of->width + column;
      if (place >= 0 && !(x[at] > most) && x[at] == x[at]) continue;
      most = x[at];
      place = at;
    }
  }
  y[j] = most;
  places[j] = place;
}

/** A row of windows, of which those from `inside` to `inside_end` lie inside. */
INLINE void windows_of_row(
    float *y, int32_t *places, const float *x, const pooling *of, int top, int columns, int inside, int inside_end,
    const int stride) {
  const int first = top < 0 ? (of->dilation_rows - 1 - top) / of->dilation_rows : 0;
  const int last = top >= of->height ? 0 : least(of->kernel_rows, (of->height - 1 - top) / of->dilation_rows + 1);
  int j = 0;
  for (; j < inside; j++) window_at_edge(y, places, x, of, top, first, last, j);
  for (; j + LANES <= inside_end; j += LANES)
    windows_inside(y, places, x, of, top, first, last, j, LANES, stride);
  if (j < inside_end) {
    windows_inside(y, places, x, of, top, first, last, j, inside_end - j, stride);
    j = inside_end;
  }
  for (; j < columns; j++) window_at_edge(y, places, x, of, top, first, last, j);
}

static void k_max_pool_forward(
    uint8_t *memory, uint32_t y_at, uint32_t places_at, uint32_t x_at, int32_t planes, int32_t height, int32_t width,
    int32_t rows, int32_t columns, int32_t kernel_rows, int32_t kernel_columns, int32_t stride_rows, int32_t stride_columns,
    int32_t padding_rows, int32_t padding_columns, int32_t dilation_rows, int32_t dilation_columns) {
  const pooling of = {height, width, kernel_rows, kernel_columns, stride_columns, padding_columns, dilation_rows, dilation_columns};
  const float *x = FLOATS_AT(x_at);
  float *y = FLOATS_AT(y_at);
  int32_t *places = (int32_t *)(memory + places_at);
  const int inside = least((padding_columns + stride_columns - 1) / stride_columns, columns);
  const int room = width - 1 - (kernel_columns - 1) * dilation_columns + padding_columns;
  const int inside_end = room < 0 ? 0 : least(room / stride_columns + 1, columns);
  for (int plane = 0; plane < planes; plane++, x += (ptrdiff_t)height * width) {
    for (int i = 0; i < rows; i++, y += columns, places += columns) {
      const int top = i * stride_rows - padding_rows;
      if (stride_columns == 1) windows_of_row(y, places, x, &of, top, columns, inside, inside_end, 1);
      else if (stride_columns == 2) windows_of_row(y, places, x, &of, top, columns, inside, inside_end, 2);
      else windows_of_row(y, places, x, &of, top, columns, inside, inside_end, stride_columns);
    }
  }
}

static void k_max_pool_backward(
    uint8_t *memory, uint32_t dx_at, uint32_t dy_at, uint32_t places_at, int32_t planes, int32_t size, int32_t count) {
  float *dx = FLOATS_AT(dx_at);
  const float *dy = FLOATS_AT(dy_at);
  const int32_t *places = (const int32_t *)(memory + places_at);
  for (int plane = 0; plane < planes; plane++, dx += size, dy += count, places += count) {
    memset(dx, 0, 4 * (size_t)size);
    for (int i = 0; i < count; i++)
      if (places[i] >= 0) dx[places[i]] += dy[i];
  }
}

INLINE void zero_floats(float *to, int count) {
  for (int j = 0; j < count; j += LANES) store_at(to + j, f32x4_splat(0), least(LANES, count - j));
}

/** `columns` numbers of a row of `width`, from `left` on and `stride` apart; 0 beyond its ends. */
INLINE void copy_window_row(float *to, const float *row, int width, int left, int columns, const int stride) {
  const int begin = clamped((stride - 1 - left) / stride, columns);
  const int stop = clamped((width - 1 - left + stride) / stride, columns), end = stop < begin ? begin : stop;
  zero_floats(to, begin);
  for (int j = begin; j < end; j += LANES) {
    const int lanes = least(LANES, end - j);
    store_at(to + j, load_apart(row + left + j * stride, stride, lanes), lanes);
  }
  zero_floats(to + end, columns - end);
}

static void k_conv_window(
    uint8_t *memory, uint32_t to_at, uint32_t from_at, int32_t channels, int32_t height, int32_t width, int32_t top,
    int32_t rows, int32_t left, int32_t columns, int32_t stride) {
  float *to = FLOATS_AT(to_at);
  const float *plane = FLOATS_AT(from_at);
  for (int c = 0; c < channels; c++, plane += (ptrdiff_t)height * width) {
    for (int row = top; row < top + rows; row++) {
      const float *from = plane + (ptrdiff_t)row * width;
      for (int r = 0; r < stride; r++, to += columns) {
        if (row < 0 || row >= height) zero_floats(to, columns);
        else if (stride == 1) copy_window_row(to, from, width, left, columns, 1);
        else if (stride == 2) copy_window_row(to, from, width, left + r, columns, 2);
        else copy_window_row(to, from, width, left + r, columns, stride);
      }
    }
  }
}

/** Blocks of a sum: SUM_BLOCK of reduce.kernel.as.ts. */
#define SUM_BLOCK 4096

/** The sums of a plane of `samples` samples. The sums do not wait for each other. */
INLINE void plane_sums(double *sums, const int samples, const float *x, ptrdiff_t apart, int size) {
  for (int s = 0; s < samples; s++) sums[s] = 0;
  for (int begin = 0; begin < size; begin += SUM_BLOCK) {
    const int count = least(SUM_BLOCK, size - begin);
    const float *from = x + begin;
    doubles8 parts[4];
#pragma GCC unroll 4
    for (int s = 0; s < samples; s++) parts[s] = doubles8_zero();
    int i = 0;
    for (; i + 8 <= count; i += 8) {
#pragma GCC unroll 4
      for (int s = 0; s < samples; s++) parts[s] = doubles8_add(parts[s], doubles8_of(floats8_at(from + s * apart + i)));
    }
    for (int s = 0; s < samples; s++) {
      double sum = total_of_eight(parts[s]);
      for (int j = i; j < count; j++) sum += from[s * apart + j];
      sums[s] += sum;
    }
  }
}

static void k_conv_channel_sums(
    uint8_t *memory, uint32_t out, uint32_t x, int32_t channels, int32_t size, int32_t begin, int32_t end, int32_t samples) {
  const ptrdiff_t apart = (ptrdiff_t)channels * size;
  for (int c = begin; c < end; c++) {
    const float *plane = FLOATS_AT(x) + (ptrdiff_t)c * size;
    double sum = 0, sums[4];
    int s = 0;
    for (; s + 4 <= samples; s += 4) {
      plane_sums(sums, 4, plane + s * apart, apart, size);
      for (int i = 0; i < 4; i++) sum += sums[i];
    }
    for (; s < samples; s++) {
      plane_sums(sums, 1, plane + s * apart, apart, size);
      sum += sums[0];
    }
    FLOATS_AT(out)[c] = (float)sum;
  }
}
