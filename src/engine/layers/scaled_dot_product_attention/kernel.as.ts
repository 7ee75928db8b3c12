// Attention without a matrix of scores.
//
// The scores of 64 queries with 64 keys are computed at a time, in scratch. Going through the keys,
// each query keeps the largest score so far, the sum of its exponentials and the unfinished output;
// when a larger score turns up, sum and output are scaled down (Milakov & Gimelshein, "Online
// normalizer calculation for softmax", arXiv:1805.02867). Of the scores only the logarithm of each
// query's sum is kept, from which the backward pass computes them again (Dao et al.,
// "FlashAttention", arXiv:2205.14135; "FlashAttention-2", arXiv:2307.08691). So memory grows with
// the number of positions and not with its square.
//
// The kernels work on one head of one sample. What they compute depends on nothing else, so threads
// may divide samples as they like. Rows of queries, keys and values may lie apart, as they do when
// heads stand side by side.
//
// A query that may see no key at all has the output 0, and no gradient passes.
//
// Dropout zeroes probabilities and divides the others by 1 − p. Both passes draw the same mask: a
// block of words (random.ts) serves four keys of a query.
import { matmul, matmul_add } from "../../kernels/matmul.kernel.as";
import { exp, log } from "../../kernels/math.as";
import { philox } from "../../kernels/philox.as";
import { fma } from "../../kernels/vector.as";

/** Queries and keys in a tile. Part of the arithmetic: changing it changes results. */
const TILE: i32 = 64;
/**
 * Rows or columns that are computed at once of the tile in which a causal head's queries and keys
 * are the same positions. What lies above its diagonal is not seen, and mostly not computed.
 */
const STRIP: i32 = 16;
/** Bytes from one row of a tile to the next. */
const ROW: i32 = TILE << 2;
/**
 * Where things lie in the scratch, after the panel of the products; ATTENTION_SCRATCH_BYTES of
 * heads.ts long.
 */
const SCORES: usize = 8192;
const MOST: usize = SCORES + TILE * ROW;
const SUMS: usize = MOST + ROW;
const SLOPES: usize = SUMS + ROW;

/** The purpose of random.ts. */
const DROPOUT: u32 = 3;

let dropped: f64 = 0;
let firstBlock: u32 = 0, step: u32 = 0, stream: u32 = 0, seedLow: u32 = 0, seedHigh: u32 = 0;

/**
 * The dropout of the calls that follow: its probability, and the block of words that the first
 * query begins with. Another thread has a module, and so a dropout, of its own.
 */
export function attention_dropout(p: f64, block: u32, batch: u32, layer: u32, low: u32, high: u32): void {
  dropped = p;
  firstBlock = block;
  step = batch;
  stream = layer;
  seedLow = low;
  seedHigh = high;
}

/**
 * y = softmax(scale q kᵀ) v for `queries` rows of q and `keys` rows of k and v, with `size` and
 * `valueSize` numbers in a row. `rest[i]` becomes the logarithm of query i's sum of exponentials.
 * `causal`: query i sees the keys 0..i. `mask` is 0 or the address of int32 that are 0 where a key
 * must not be seen; the mask of query i begins at mask + i × maskRow.
 */
export function attention_forward(
  q: usize, k: usize, v: usize, y: usize, rest: usize, queries: i32, keys: i32, size: i32, valueSize: i32,
  qRow: i32, kRow: i32, vRow: i32, yRow: i32, scale: f32, causal: bool, mask: usize, maskRow: i32, scratch: usize,
): void {
  const scores = scratch + SCORES, most = scratch + MOST, sums = scratch + SUMS;
  for (let i = 0; i < queries; i += TILE) {
    const height = min(TILE, queries - i), out = y + i * yRow;
    const end = causal ? min(keys, i + height) : keys;
    for (let r = 0; r < height; r++) {
      store<f32>(most + (r << 2), -Infinity);
      store<f32>(sums + (r << 2), 0);
    }
    for (let j = 0; j < end; j += TILE) {
      const width = min(TILE, keys - j), half = causal && i == j;
      products(scores, q + i * qRow, k + j * kRow, height, width, size, qRow, kRow, half, scratch);
      for (let r = 0; r < height; r++) {
        const seen = causal ? min(width, i + r + 1 - j) : width;
        const sight: usize = mask == 0 ? 0 : mask + (i + r) * maskRow + (j << 2);
        const shrink = exponentials(scores + r * ROW, seen, width, scale, sight, most + (r << 2), sums + (r << 2));
        if (dropped != 0) drop(scores + r * ROW, seen, i + r, j, keys);
        if (j != 0 && shrink != 1) multiply(out + r * yRow, valueSize, shrink);
      }
      byQueries(out, scores, v + j * vRow, height, valueSize, width, yRow, vRow, half, j != 0, scratch);
    }
    for (let r = 0; r < height; r++) {
      const sum = load<f32>(sums + (r << 2));
      const none = sum == 0;
      multiply(out + r * yRow, valueSize, none ? 0 : 1 / sum);
      const logarithm = f32x4.extract_lane(log(f32x4.splat(sum)), 0);
      store<f32>(rest + ((i + r) << 2), none ? Infinity : load<f32>(most + (r << 2)) + logarithm);
    }
  }
}

/**
 * The gradients of q, k and v from that of y, g. They lie as q, k, v and y do. An address of 0: not
 * wanted.
 */
export function attention_backward(
  q: usize, k: usize, v: usize, y: usize, g: usize, rest: usize, dq: usize, dk: usize, dv: usize,
  queries: i32, keys: i32, size: i32, valueSize: i32, qRow: i32, kRow: i32, vRow: i32, yRow: i32,
  scale: f32, causal: bool, mask: usize, maskRow: i32, scratch: usize,
): void {
  const scores = scratch + SCORES, dots = scratch + MOST, slopes = scratch + SLOPES;
  for (let j = 0; j < keys; j++) {
    if (dk != 0) memory.fill(dk + j * kRow, 0, size << 2);
    if (dv != 0) memory.fill(dv + j * vRow, 0, valueSize << 2);
  }
  for (let i = 0; i < queries; i += TILE) {
    const height = min(TILE, queries - i), at = i * yRow, from = i * qRow;
    const end = causal ? min(keys, i + height) : keys;
    for (let r = 0; r < height; r++) store<f32>(dots + (r << 2), dot(y + at + r * yRow, g + at + r * yRow, valueSize));
    for (let j = 0; j < end; j += TILE) {
      const width = min(TILE, keys - j), half = causal && i == j;
      products(scores, q + from, k + j * kRow, height, width, size, qRow, kRow, half, scratch);
      products(slopes, g + at, v + j * vRow, height, width, valueSize, yRow, vRow, half, scratch);
      for (let r = 0; r < height; r++) {
        const seen = causal ? min(width, i + r + 1 - j) : width;
        const sight: usize = mask == 0 ? 0 : mask + (i + r) * maskRow + (j << 2);
        const sum = load<f32>(rest + ((i + r) << 2));
        if (dropped != 0) drop(slopes + r * ROW, seen, i + r, j, keys);
        derive(scores + r * ROW, slopes + r * ROW, seen, width, scale, sight, sum, load<f32>(dots + (r << 2)));
        if (dropped != 0) drop(scores + r * ROW, seen, i + r, j, keys);
      }
      if (dv != 0) byKeys(dv + j * vRow, scores, g + at, height, valueSize, width, vRow, yRow, half, scratch);
      if (dk != 0) byKeys(dk + j * kRow, slopes, q + from, height, size, width, kRow, qRow, half, scratch);
      if (dq != 0) byQueries(dq + from, slopes, k + j * kRow, height, size, width, qRow, kRow, half, j != 0, scratch);
    }
  }
}

/**
 * A tile: the products of `height` rows of a with `width` rows of b, of `size` numbers each.
 * `half`: only those that lie on or below the diagonal are needed.
 */
function products(
  tile: usize, a: usize, b: usize, height: i32, width: i32, size: i32, aRow: i32, bRow: i32, half: bool, panel: usize,
): void {
  const strip = half ? STRIP : TILE, last = half ? min(width, height) : width;
  for (let j = 0; j < last; j += strip) {
    const first = half ? j : 0, to = tile + first * ROW + (j << 2), columns = min(strip, width - j);
    matmul(to, a + first * aRow, b + j * bRow, height - first, columns, size, ROW, aRow, 4, bRow, 1, 0, panel);
  }
}

/** out = tile · b for each query, or out += if `add`. `half`: the tile is 0 above the diagonal. */
function byQueries(
  out: usize, tile: usize, b: usize, height: i32, size: i32, width: i32, outRow: i32, bRow: i32, half: bool, add: bool, panel: usize,
): void {
  const strip = half ? STRIP : TILE;
  for (let i = 0; i < height; i += strip) {
    const rows = min(strip, height - i), depth = half ? min(width, i + strip) : width;
    if (add) matmul_add(out + i * outRow, tile + i * ROW, b, rows, size, depth, outRow, ROW, 4, bRow, 0, panel);
    else matmul(out + i * outRow, tile + i * ROW, b, rows, size, depth, outRow, ROW, 4, bRow, 0, 0, panel);
  }
}

/** out += tileᵀ · b for each key. `half`: the tile is 0 above the diagonal. */
function byKeys(
  out: usize, tile: usize, b: usize, height: i32, size: i32, width: i32, outRow: i32, bRow: i32, half: bool, panel: usize,
): void {
  const strip = half ? STRIP : TILE, last = half ? min(width, height) : width;
  for (let j = 0; j < last; j += strip) {
    const first = half ? j : 0, from = tile + first * ROW + (j << 2), rows = min(strip, width - j);
    matmul_add(out + j * outRow, from, b + first * bRow, rows, size, height - first, outRow, 4, ROW, bRow, 0, panel);
  }
}

/**
 * Turns a row of products into exponentials of scores, relative to the largest score so far, which
 * it brings up to date with the sum of exponentials. Returns by what the earlier ones shrink.
 */
function exponentials(row: usize, seen: i32, width: i32, scale: f32, sight: usize, most: usize, sums: usize): f32 {
  const before = load<f32>(most), stop = row + (((seen + 3) & ~3) << 2);
  const s = f32x4.splat(scale);
  for (let at = row; at < stop; at += 16) v128.store(at, f32x4.mul(v128.load(at), s));
  hide(row, seen, sight, -Infinity);
  let greatest = f32x4.splat(before);
  for (let at = row; at < stop; at += 16) greatest = f32x4.pmax(greatest, v128.load(at));
  greatest = f32x4.pmax(greatest, i32x4.shuffle(greatest, greatest, 2, 3, 0, 1));
  greatest = f32x4.pmax(greatest, i32x4.shuffle(greatest, greatest, 1, 0, 3, 2));
  const now = f32x4.extract_lane(greatest, 0);
  // Nothing was seen yet: any reference does, but −∞ − (−∞) is no number.
  const reference = f32x4.splat(now == -Infinity ? 0 : now);
  let sum = f32x4.splat(0);
  for (let at = row; at < stop; at += 16) {
    const e = exp(f32x4.sub(v128.load(at), reference));
    v128.store(at, e);
    sum = f32x4.add(sum, e);
  }
  clear(stop, row, width);
  const shrink = f32x4.extract_lane(exp(f32x4.sub(f32x4.splat(before), reference)), 0);
  store<f32>(most, now);
  store<f32>(sums, load<f32>(sums) * shrink + total(sum));
  return shrink;
}

/**
 * From products q·k in `row` and g·v in `slopes` to probabilities p in `row` and the gradients of
 * the products, p (g·v − y·g) scale, in `slopes`. `sum`: the logarithm of the query's sum of
 * exponentials; `dot`: its y·g.
 */
function derive(row: usize, slopes: usize, seen: i32, width: i32, scale: f32, sight: usize, sum: f32, dot: f32): void {
  const bytes = <usize>((seen + 3) & ~3) << 2;
  const s = f32x4.splat(scale), l = f32x4.splat(sum), d = f32x4.splat(dot);
  for (let i: usize = 0; i < bytes; i += 16) {
    const p = exp(f32x4.sub(f32x4.mul(v128.load(row + i), s), l));
    v128.store(row + i, p);
    v128.store(slopes + i, f32x4.mul(f32x4.mul(p, f32x4.sub(v128.load(slopes + i), d)), s));
  }
  hide(row, seen, sight, 0);
  hide(slopes, seen, sight, 0);
  clear(row + bytes, row, width);
  clear(slopes + bytes, slopes, width);
}

/**
 * Writes `value` over the places of keys that a mask hides, and over the up to three places between
 * the last key that is seen and the end of a vector.
 */
function hide(row: usize, seen: i32, sight: usize, value: f32): void {
  for (let i = seen; (i & 3) != 0; i++) store<f32>(row + (<usize>i << 2), value);
  if (sight == 0) return;
  for (let i: usize = 0, bytes = <usize>seen << 2; i < bytes; i += 4) {
    if (load<i32>(sight + i) == 0) store<f32>(row + i, value);
  }
}

/** Dropout of the `seen` keys of a row, which belongs to a query and to the keys from `key` on. */
function drop(row: usize, seen: i32, query: i32, key: i32, keys: i32): void {
  const edge = dropped * 4294967296.0, all = edge >= 4294967296.0;
  const threshold = i32x4.splat(all ? 0 : <u32>ceil<f64>(edge)), allowed = i32x4.splat(all ? 0 : -1);
  const scale = f32x4.splat(<f32>(1 / (1 - dropped)));
  let block = firstBlock + <u32>query * <u32>((keys + 3) >> 2) + (<u32>key >> 2);
  for (const end = row + (<usize>seen << 2); row < end; row += 16, block++) {
    const kept = v128.and(i32x4.ge_u(philox(block, step, stream, DROPOUT, seedLow, seedHigh), threshold), allowed);
    v128.store(row, v128.and(kept, f32x4.mul(v128.load(row), scale)));
  }
}

/** Zeroes the places of a row from `at` on that a product will read. */
@inline
function clear(at: usize, row: usize, width: i32): void {
  for (const end = row + (<usize>width << 2); at < end; at += 16) v128.store(at, f32x4.splat(0));
}

/** x[i] ×= factor */
function multiply(x: usize, count: i32, factor: f32): void {
  const f = f32x4.splat(factor), whole = x + (<usize>(count & ~3) << 2), end = x + (<usize>count << 2);
  for (; x < whole; x += 16) v128.store(x, f32x4.mul(v128.load(x), f));
  for (; x < end; x += 4) store<f32>(x, load<f32>(x) * factor);
}

/**
 * Σ x[i] y[i]: element i goes to running sum i mod 4; those after the last whole four are added
 * last.
 */
function dot(x: usize, y: usize, count: i32): f32 {
  const whole = <usize>(count & ~3) << 2, all = <usize>count << 2;
  let sum = f32x4.splat(0), i: usize = 0;
  for (; i < whole; i += 16) sum = fma(v128.load(x + i), v128.load(y + i), sum);
  let result = total(sum);
  for (; i < all; i += 4) result += load<f32>(x + i) * load<f32>(y + i);
  return result;
}

/** (0 + 1) + (2 + 3) */
@inline
function total(lanes: v128): f32 {
  const pairs = f32x4.add(lanes, i32x4.shuffle(lanes, lanes, 1, 0, 3, 2));
  return f32x4.extract_lane(f32x4.add(pairs, i32x4.shuffle(pairs, pairs, 2, 3, 0, 1)), 0);
}
