// Kernels for packs: the models of one shape that are trained side by side, one in each lane.
//
// The memory of a pack has 16 numbers where that of a model has one: those of the 16 models. So
// the vectors of these kernels hold the same number of several models, and each lane makes the
// additions and multiplications that the kernel of one model makes, in the same order. That is
// what gives a model the bytes that it would have alone. Elementwise kernels need no form of their
// own: they take 16 times as many elements (pack.generated.ts).
//
// Addresses and strides are bytes of the pack's memory. A loop over PACK visits the 16 lanes, as
// many at a time as a vector has.
import { fma, load, store } from "./vector.as";
import { philoxOfLanes, words0, words1, words2, words3 } from "./philox.as";
import { lower, upper } from "./wide.as";

/** Bytes of one number of all 16 models. */
const PACK: usize = 64;
/** Blocks along k: those of tile.as.ts. */
const BLOCK: i32 = 256;

/**
 * C = A · B (+ bias) with the bits of `matmul`. A's element (i, p) lies at a + i × aRow + p ×
 * aStep, B's element (p, j) at b + p × bStep + j × bColumn. `bias` is the address of n numbers, or
 * 0.
 */
export function pack_matmul(
  c: usize, a: usize, b: usize, m: i32, n: i32, k: i32,
  cRow: i32, aRow: i32, aStep: i32, bStep: i32, bColumn: i32, bias: usize,
): void {
  for (let i: usize = 0; i < PACK; i += 16) product(c + i, a + i, b + i, m, n, k, cRow, aRow, aStep, bStep, bColumn, bias == 0 ? 0 : bias + i, true);
}

@inline
function product(
  c: usize, a: usize, b: usize, m: i32, n: i32, k: i32,
  cRow: i32, aRow: i32, aStep: i32, bStep: i32, bColumn: i32, bias: usize, full: bool,
): void {
  for (let block = 0; block * BLOCK < k; block++) {
    const left = k - block * BLOCK, depth = left < BLOCK ? left : BLOCK;
    const from = a + block * BLOCK * aStep, by = b + block * BLOCK * bStep, end: usize = left <= BLOCK ? bias : 0;
    const add: bool = block > 0;
    for (let i = 0; i < m >> 2; i++) rows(4, c + 4 * i * cRow, cRow, from + 4 * i * aRow, aRow, aStep, by, bStep, bColumn, depth, n, add, end, full);
    const two = m & ~3, one = m & ~1;
    if ((m & 2) != 0) rows(2, c + two * cRow, cRow, from + two * aRow, aRow, aStep, by, bStep, bColumn, depth, n, add, end, full);
    if ((m & 1) != 0) rows(1, c + one * cRow, cRow, from + one * aRow, aRow, aStep, by, bStep, bColumn, depth, n, add, end, full);
  }
}

/** Some rows of C: three columns at a time. */
@inline
function rows(
  count: i32, c: usize, cRow: i32, a: usize, aRow: i32, aStep: i32, b: usize, bStep: i32, bColumn: i32, depth: i32, n: i32,
  add: bool, bias: usize, full: bool,
): void {
  const triples = n / 3, left = n - 3 * triples, last = 3 * triples;
  for (let j = 0; j < triples; j++) tile(count, 3, c + 192 * j, cRow, a, aRow, aStep, b + 3 * j * bColumn, bStep, bColumn, depth, add, bias == 0 ? 0 : bias + 192 * j, full);
  if (left == 2) tile(count, 2, c + 64 * last, cRow, a, aRow, aStep, b + last * bColumn, bStep, bColumn, depth, add, bias == 0 ? 0 : bias + 64 * last, full);
  if (left == 1) tile(count, 1, c + 64 * last, cRow, a, aRow, aStep, b + last * bColumn, bStep, bColumn, depth, add, bias == 0 ? 0 : bias + 64 * last, full);
}

/**
 * Up to four rows by three columns, which are constants at every call: the branches on them are
 * folded away.
 */
@inline
function tile(
  count: i32, columns: i32, c: usize, cRow: i32, a: usize, aRow: i32, aStep: i32, b: usize, bStep: i32, bColumn: i32, depth: i32,
  add: bool, bias: usize, full: bool,
): void {
  let a0 = f32x4.splat(0), a1 = a0, a2 = a0, b0 = a0, b1 = a0, b2 = a0, c0 = a0, c1 = a0, c2 = a0, d0 = a0, d1 = a0, d2 = a0;
  for (let p = 0; p < depth; p++) {
    const left = load(b, full), middle = columns > 1 ? load(b + bColumn, full) : left, right = columns > 2 ? load(b + 2 * bColumn, full) : left;
    let x = load(a, full);
    a0 = fma(x, left, a0);
    if (columns > 1) a1 = fma(x, middle, a1);
    if (columns > 2) a2 = fma(x, right, a2);
    if (count > 1) {
      x = load(a + aRow, full);
      b0 = fma(x, left, b0);
      if (columns > 1) b1 = fma(x, middle, b1);
      if (columns > 2) b2 = fma(x, right, b2);
    }
    if (count > 2) {
      x = load(a + 2 * aRow, full);
      c0 = fma(x, left, c0);
      if (columns > 1) c1 = fma(x, middle, c1);
      if (columns > 2) c2 = fma(x, right, c2);
      x = load(a + 3 * aRow, full);
      d0 = fma(x, left, d0);
      if (columns > 1) d1 = fma(x, middle, d1);
      if (columns > 2) d2 = fma(x, right, d2);
    }
    a += aStep;
    b += bStep;
  }
  put(columns, c, a0, a1, a2, add, bias, full);
  if (count > 1) put(columns, c + cRow, b0, b1, b2, add, bias, full);
  if (count > 2) {
    put(columns, c + 2 * cRow, c0, c1, c2, add, bias, full);
    put(columns, c + 3 * cRow, d0, d1, d2, add, bias, full);
  }
}

/** Stores a row of a tile: as the first block's sums, or added to those before. */
@inline
function put(columns: i32, c: usize, left: v128, middle: v128, right: v128, add: bool, bias: usize, full: bool): void {
  putOne(c, left, add, bias, full);
  if (columns > 1) putOne(c + 64, middle, add, bias == 0 ? 0 : bias + 64, full);
  if (columns > 2) putOne(c + 128, right, add, bias == 0 ? 0 : bias + 128, full);
}

@inline
function putOne(c: usize, value: v128, add: bool, bias: usize, full: bool): void {
  let sum = value;
  if (add) sum = f32x4.add(load(c, full), sum);
  if (bias != 0) sum = f32x4.add(sum, load(bias, full));
  store(c, sum, full);
}

/** out[j] = Σᵢ x[i, j] over `count` rows, for `columns` columns, with the bits of `column_sums`. */
export function pack_column_sums(out: usize, x: usize, row: i32, count: i32, columns: i32): void {
  for (let i: usize = 0; i < PACK; i += 16) sumColumns(out + i, x + i, row, count, columns, true);
}

@inline
function sumColumns(out: usize, x: usize, row: i32, count: i32, columns: i32, full: bool): void {
  for (let j = 0; j < columns; j++) {
    for (let block = 0; block * BLOCK < count; block++) {
      const left = count - block * BLOCK, rows = left < BLOCK ? left : BLOCK;
      let sum = f32x4.splat(0), at = x + 64 * j + block * BLOCK * row;
      for (let i = 0; i < rows; i++) {
        sum = f32x4.add(sum, load(at, full));
        at += row;
      }
      store(out + 64 * j, block == 0 ? sum : f32x4.add(load(out + 64 * j, full), sum), full);
    }
  }
}

/** The sums of `count` float32 with the bits of `sum_f32`: 16 doubles at `out`. */
export function pack_sum_f32(out: usize, x: usize, count: i32): void {
  for (let i: usize = 0; i < PACK; i += 16) {
    let low = f64x2.splat(0), high = low;
    for (let begin = 0; begin < count; begin += SUM_BLOCK) {
      const at = x + i + (<usize>begin << 6), terms = min(count - begin, SUM_BLOCK);
      low = f64x2.add(low, sumOfBlock(at, terms, false));
      high = f64x2.add(high, sumOfBlock(at, terms, true));
    }
    v128.store(out + 2 * i, low);
    v128.store(out + 2 * i, high, 16);
  }
}

/** SUM_BLOCK of reduce.kernel.as.ts. */
const SUM_BLOCK: i32 = 4096;

/** Of the upper or lower two of four models. */
@inline
function sumOfBlock(x: usize, count: i32, high: bool): v128 {
  let a = f64x2.splat(0), b = a, c = a, d = a, e = a, f = a, g = a, h = a;
  const whole = x + (<usize>(count & ~7) << 6), end = x + (<usize>count << 6);
  for (; x < whole; x += 512) {
    a = f64x2.add(a, half(x, high));
    b = f64x2.add(b, half(x + 64, high));
    c = f64x2.add(c, half(x + 128, high));
    d = f64x2.add(d, half(x + 192, high));
    e = f64x2.add(e, half(x + 256, high));
    f = f64x2.add(f, half(x + 320, high));
    g = f64x2.add(g, half(x + 384, high));
    h = f64x2.add(h, half(x + 448, high));
  }
  let sum = f64x2.add(f64x2.add(f64x2.add(a, b), f64x2.add(c, d)), f64x2.add(f64x2.add(e, f), f64x2.add(g, h)));
  for (; x < end; x += 64) sum = f64x2.add(sum, half(x, high));
  return sum;
}

@inline
function half(x: usize, high: bool): v128 {
  return high ? upper(v128.load(x)) : lower(v128.load(x));
}

/**
 * The divisors of the models with the bits of `class_divisor` from 0: 16 doubles at `out`. `weight`
 * holds a float for each class.
 */
export function pack_class_divisor(out: usize, target: usize, rows: i32, weight: usize, classes: i32, ignored: i32): void {
  for (let i: usize = 0; i < PACK; i += 16) {
    let low = f64x2.splat(0), high = low;
    for (let row = 0; row < rows; row++) {
      const index = v128.load(target + i + (<usize>row << 6));
      let counted = f32x4.splat(0);
      for (let j = 0; j < classes; j++) {
        const own = v128.load(weight + i + (<usize>j << 6));
        if (j != ignored) counted = v128.bitselect(own, counted, i32x4.eq(index, i32x4.splat(j)));
      }
      low = f64x2.add(low, lower(counted));
      high = f64x2.add(high, upper(counted));
    }
    v128.store(out + 2 * i, low);
    v128.store(out + 2 * i, high, 16);
  }
}

// The purpose of random.ts.
const DROPOUT: u32 = 3;

/**
 * Elements 0..count of y become those of x with the bits of `dropout`. The halves of the models'
 * seeds are 16 integers each, at `seedsLow` and `seedsHigh`.
 */
export function pack_dropout(
  x: usize, y: usize, count: i32, seedsLow: usize, seedsHigh: usize, layer: u32, step: u32, p: f64,
): void {
  const scale = f32x4.splat(<f32>(1 / (1 - p)));
  const edge = p * 4294967296.0, all = edge >= 4294967296.0;
  const threshold = i32x4.splat(all ? 0 : <u32>ceil<f64>(edge)), allowed = i32x4.splat(all ? 0 : -1);
  for (let i: usize = 0; i < PACK; i += 16) {
    const low = v128.load(seedsLow + i), high = v128.load(seedsHigh + i);
    for (let at = 0; at < count; at += 4) {
      const offset = i + (<usize>at << 6);
      philoxOfLanes(<u32>at >> 2, step, layer, DROPOUT, low, high);
      keep(x + offset, y + offset, scale, v128.and(i32x4.ge_u(words0, threshold), allowed));
      if (at + 1 < count) keep(x + offset + 64, y + offset + 64, scale, v128.and(i32x4.ge_u(words1, threshold), allowed));
      if (at + 2 < count) keep(x + offset + 128, y + offset + 128, scale, v128.and(i32x4.ge_u(words2, threshold), allowed));
      if (at + 3 < count) keep(x + offset + 192, y + offset + 192, scale, v128.and(i32x4.ge_u(words3, threshold), allowed));
    }
  }
}

@inline
function keep(x: usize, y: usize, scale: v128, kept: v128): void {
  v128.store(y, v128.and(kept, f32x4.mul(v128.load(x), scale)));
}

/** `count` numbers of a model become those of a lane. `to` is the address of the lane's first. */
export function pack_insert(to: usize, from: usize, count: i32): void {
  for (let i = 0; i < count; i++) store32(to + (<usize>i << 6), load32(from + (<usize>i << 2)));
}

/** `count` numbers of a lane, whose first lies at `from`, become those of a model. */
export function pack_extract(to: usize, from: usize, count: i32): void {
  for (let i = 0; i < count; i++) store32(to + (<usize>i << 2), load32(from + (<usize>i << 6)));
}

@inline
function load32(at: usize): v128 {
  return v128.load32_zero(at);
}

@inline
function store32(at: usize, value: v128): void {
  v128.store32_lane(at, value, 0);
}
