// What convolutions need around their products (kernels/gathered.kernel.as.ts).
import { BLOCK } from "../../kernels/tile.as";
import { fma } from "../../kernels/vector.as";
import { sum_f32 } from "../../kernels/reduce.kernel.as";

/**
 * Copies a window of each of `channels` planes [height, width]: `rows` rows from row `top` on, and
 * `columns` × `stride` columns from column `left` on. What lies outside of the plane is 0. Columns
 * that are `stride` apart come to lie side by side: a row becomes `stride` rows of `columns`.
 */
export function conv_window(
  to: usize, from: usize, channels: i32, height: i32, width: i32,
  top: i32, rows: i32, left: i32, columns: i32, stride: i32,
): void {
  for (let c = 0; c < channels; c++) {
    for (let i = 0; i < rows; i++) {
      const row = top + i;
      for (let r = 0; r < stride; r++) {
        if (row < 0 || row >= height) fill(to, columns);
        else copyRow(to, from + (row * width << 2), width, left + r, columns, stride);
        to += columns << 2;
      }
    }
    from += height * width << 2;
  }
}

/** `columns` numbers of a row of `width`, from `left` on and `stride` apart; 0 beyond its ends. */
function copyRow(to: usize, from: usize, width: i32, left: i32, columns: i32, stride: i32): void {
  const begin = min(columns, max(0, (stride - 1 - left) / stride));
  const end = max(begin, min(columns, (width - 1 - left + stride) / stride));
  fill(to, begin);
  from += (left + begin * stride) << 2;
  let j = begin;
  if (stride == 1) {
    for (; j + 4 <= end; j += 4) {
      v128.store(to + (j << 2), v128.load(from));
      from += 16;
    }
  }
  if (stride == 2) {
    // Reads one number more than it needs, so that it leaves the row's last one alone.
    for (; j + 5 <= end; j += 4) {
      v128.store(to + (j << 2), v128.shuffle<f32>(v128.load(from), v128.load(from, 16), 0, 2, 4, 6));
      from += 32;
    }
  }
  for (; j < end; j++) {
    store<i32>(to + (j << 2), load<i32>(from));
    from += stride << 2;
  }
  fill(to + (end << 2), columns - end);
}

@inline
function fill(to: usize, count: i32): void {
  let j = 0;
  for (; j + 4 <= count; j += 4) v128.store(to + (j << 2), i32x4.splat(0));
  for (; j < count; j++) store<i32>(to + (j << 2), 0);
}

/** A matrix [rows, k] of numbers that lie at from + row × rowBytes + steps[p]. */
export function conv_gather(to: usize, from: usize, rows: i32, k: i32, rowBytes: i32, steps: usize): void {
  for (let i = 0; i < rows; i++) {
    for (let p = 0; p < k; p++) {
      store<i32>(to, load<i32>(from + load<i32>(steps + (p << 2))));
      to += 4;
    }
    from += rowBytes;
  }
}

/**
 * Copies planes [rows, columns] to places that are planeBytes, rowBytes and columnBytes apart.
 */
export function conv_scatter(
  to: usize, from: usize, planes: i32, rows: i32, columns: i32, planeBytes: i32, rowBytes: i32, columnBytes: i32,
): void {
  for (let c = 0; c < planes; c++) {
    for (let i = 0; i < rows; i++) {
      let at = to + i * rowBytes;
      for (let j = 0; j < columns; j++) {
        store<i32>(at, load<i32>(from));
        from += 4;
        at += columnBytes;
      }
    }
    to += planeBytes;
  }
}

/** Fills each of `planes` planes of `size` numbers with its bias, or with 0 if `bias` is 0. */
export function conv_fill(x: usize, planes: i32, size: i32, bias: usize): void {
  for (let c = 0; c < planes; c++) {
    const value: f32 = bias == 0 ? 0 : load<f32>(bias + (c << 2));
    for (let i = 0; i < size; i++) {
      store<f32>(x, value);
      x += 4;
    }
  }
}

/**
 * A bias' gradient: for channels begin..end the sum of all numbers in their planes, over `samples`
 * samples of `channels` planes of `size` numbers. In double; the planes' sums are added in
 * ascending order.
 */
export function conv_channel_sums(
  out: usize, x: usize, channels: i32, size: i32, begin: i32, end: i32, samples: i32,
): void {
  const plane = <usize>size << 2;
  for (let c = begin; c < end; c++) {
    let sum: f64 = 0;
    for (let s = 0; s < samples; s++) sum += sum_f32(x + (<usize>s * channels + c) * plane, size);
    store<f32>(out + (c << 2), <f32>sum);
  }
}

/**
 * `matmul_gathered` for few rows: C[m,n] = A[m,k] · B (+ bias), with k ≤ 256. Packing panels would
 * not pay; vectors are read where they lie, eight at a time. `from` and `to` list where each of
 * `vectors` (a multiple of 8) vectors of four columns lies in the image and in a row of C, whose
 * rows are `cRow` apart. Vectors may overlap.
 */
export function conv_few(
  c: usize, a: usize, b: usize, m: i32, k: i32, cRow: i32, from: usize, to: usize, vectors: i32, steps: usize, bias: usize,
): void {
  for (let i = 0; i < m; i++) {
    // Adding −0 changes no number.
    const start = bias == 0 ? f32x4.splat(-0.0) : v128.load32_splat(bias + (i << 2));
    for (let q = 0; q < vectors; q += 8) few(c, a, b, k, from + (q << 2), to + (q << 2), steps, start);
    a += k << 2;
    c += cRow;
  }
}

@inline
function few(c: usize, a: usize, b: usize, k: i32, from: usize, to: usize, steps: usize, bias: v128): void {
  const b0 = b + load<i32>(from), b1 = b + load<i32>(from, 4), b2 = b + load<i32>(from, 8), b3 = b + load<i32>(from, 12);
  const b4 = b + load<i32>(from, 16), b5 = b + load<i32>(from, 20), b6 = b + load<i32>(from, 24), b7 = b + load<i32>(from, 28);
  let s0 = f32x4.splat(0), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;
  const end = steps + (k << 2);
  for (let at = steps; at < end; at += 4) {
    const step = load<i32>(at);
    const x = v128.load32_splat(a);
    s0 = fma(x, v128.load(b0 + step), s0);
    s1 = fma(x, v128.load(b1 + step), s1);
    s2 = fma(x, v128.load(b2 + step), s2);
    s3 = fma(x, v128.load(b3 + step), s3);
    s4 = fma(x, v128.load(b4 + step), s4);
    s5 = fma(x, v128.load(b5 + step), s5);
    s6 = fma(x, v128.load(b6 + step), s6);
    s7 = fma(x, v128.load(b7 + step), s7);
    a += 4;
  }
  v128.store(c + load<i32>(to), f32x4.add(s0, bias));
  v128.store(c + load<i32>(to, 4), f32x4.add(s1, bias));
  v128.store(c + load<i32>(to, 8), f32x4.add(s2, bias));
  v128.store(c + load<i32>(to, 12), f32x4.add(s3, bias));
  v128.store(c + load<i32>(to, 16), f32x4.add(s4, bias));
  v128.store(c + load<i32>(to, 20), f32x4.add(s5, bias));
  v128.store(c + load<i32>(to, 24), f32x4.add(s6, bias));
  v128.store(c + load<i32>(to, 28), f32x4.add(s7, bias));
}

/**
 * `matmul_gathered` for one row, whose columns mostly lie side by side: C[n] (+)= A[k] · B. Vectors
 * are read where they lie, four at a time. `from` lists where each of them ends in the image, less
 * 16 bytes. `to` lists where its numbers begin in C, and at last where C ends: a vector's last
 * numbers are those that are wanted.
 */
export function conv_few_sums(
  c: usize, a: usize, b: usize, k: i32, from: usize, to: usize, vectors: i32, steps: usize, add: i32,
): void {
  for (let p = 0; p < k; p += BLOCK) {
    const depth = min(BLOCK, k - p), more = p != 0 || add != 0;
    for (let q = 0; q < vectors; q += 4) {
      fewSums(c, a + (p << 2), b, depth, from + (q << 2), to + (q << 2), min(4, vectors - q), steps + (p << 2), more);
    }
  }
}

function fewSums(c: usize, a: usize, b: usize, k: i32, from: usize, to: usize, count: i32, steps: usize, add: bool): void {
  const b0 = b + load<i32>(from), b1 = b + load<i32>(from + (min(1, count - 1) << 2));
  const b2 = b + load<i32>(from + (min(2, count - 1) << 2)), b3 = b + load<i32>(from + (min(3, count - 1) << 2));
  let s0 = f32x4.splat(0), s1 = s0, s2 = s0, s3 = s0;
  const end = steps + (k << 2);
  for (; steps < end; steps += 4) {
    const step = load<i32>(steps);
    const x = v128.load32_splat(a);
    s0 = fma(x, v128.load(b0 + step), s0);
    s1 = fma(x, v128.load(b1 + step), s1);
    s2 = fma(x, v128.load(b2 + step), s2);
    s3 = fma(x, v128.load(b3 + step), s3);
    a += 4;
  }
  putLast(c, to, s0, add);
  if (count > 1) putLast(c, to + 4, s1, add);
  if (count > 2) putLast(c, to + 8, s2, add);
  if (count > 3) putLast(c, to + 12, s3, add);
}

/** Stores the last numbers of a vector, or adds them to what is there. */
function putLast(c: usize, to: usize, value: v128, add: bool): void {
  const begin = load<i32>(to), end = load<i32>(to, 4);
  let at = c + end - 4;
  putOne(at, f32x4.extract_lane(value, 3), add);
  at -= 4;
  if (end - begin > 4) putOne(at, f32x4.extract_lane(value, 2), add);
  at -= 4;
  if (end - begin > 8) putOne(at, f32x4.extract_lane(value, 1), add);
  at -= 4;
  if (end - begin > 12) putOne(at, f32x4.extract_lane(value, 0), add);
}

@inline
function putOne(at: usize, value: f32, add: bool): void {
  store<f32>(at, add ? load<f32>(at) + value : value);
}
