// The matrix product, C[m,n] = A[m,k] · B[k,n], in canonical arithmetic.
//
// Which bits come out is fixed by k alone: k is cut into blocks of 256; in a block each output is
// one chain of fused multiply-adds from +0 in ascending k; the block sums are added in ascending
// order, then the bias. Everything below may therefore be re-tiled, widened or replaced (by a
// native product) without changing a bit, as long as vectors run across outputs and never along k.
//
// The tile is 6 rows by 8 columns: 12 accumulators, 2 vectors of B and one broadcast of A fill the
// 16 vector registers of x86-64. B is packed, a panel of 8 columns by one block of k at a time (8
// KiB, it stays in the first-level cache), because rows of B lie far apart, and because the forward
// pass reads B = Wᵀ across its rows. A is read where it lies, with one stride between rows and
// another along k, so that the same tile serves X·Wᵀ, dY·W and dYᵀ·X.
import { fma } from "./vector.as";

/** Part of the arithmetic: changing it changes results. */
const BLOCK: i32 = 256;

/**
 * C = A · B (+ bias), all float32. Strides are bytes. A's element (i, p) lies at a + i × aRow + p ×
 * aStep. B's element (p, j) lies at b + p × bRow + 4 j or, if `transposed`, at b + j × bRow + 4 p.
 * `bias` is the address of n numbers, or 0. `panel`: 8 KiB of scratch.
 */
export function matmul(
  c: usize, a: usize, b: usize, m: i32, n: i32, k: i32,
  cRow: i32, aRow: i32, aStep: i32, bRow: i32, transposed: i32, bias: usize, panel: usize,
): void {
  product(c, a, b, m, n, k, cRow, aRow, aStep, bRow, transposed, bias, panel, false);
}

/** C += A · B: the sums of blocks of k are added to what C holds, in ascending order. */
export function matmul_add(
  c: usize, a: usize, b: usize, m: i32, n: i32, k: i32,
  cRow: i32, aRow: i32, aStep: i32, bRow: i32, transposed: i32, panel: usize,
): void {
  product(c, a, b, m, n, k, cRow, aRow, aStep, bRow, transposed, 0, panel, true);
}

function product(
  c: usize, a: usize, b: usize, m: i32, n: i32, k: i32,
  cRow: i32, aRow: i32, aStep: i32, bRow: i32, transposed: i32, bias: usize, panel: usize, add: bool,
): void {
  for (let p = 0; p < k; p += BLOCK) {
    const depth = min(BLOCK, k - p);
    for (let j = 0; j < n; j += 8) {
      pack(panel, b, p, j, depth, min(8, n - j), bRow, transposed);
      columns(c, a, panel, m, n, k, p, j, cRow, aRow, aStep, bias, add || p != 0);
    }
  }
}

/**
 * Packs the whole of B[k,n], as `matmul` reads it, for products by `matmul_packed`: worth it where
 * the same B serves many products of few rows. It takes k × n floats, n rounded up to a multiple of
 * 4.
 */
export function pack_panels(panels: usize, b: usize, n: i32, k: i32, bRow: i32, transposed: i32): void {
  for (let p = 0; p < k; p += BLOCK) {
    const depth = min(BLOCK, k - p);
    for (let j = 0; j < n; j += 8) {
      pack(panels, b, p, j, depth, min(8, n - j), bRow, transposed);
      panels += panelBytes(depth, n - j);
    }
  }
}

/** `matmul` with a B that `pack_panels` packed; the same bits. */
export function matmul_packed(
  c: usize, a: usize, panels: usize, m: i32, n: i32, k: i32, cRow: i32, aRow: i32, aStep: i32, bias: usize,
): void {
  for (let p = 0; p < k; p += BLOCK) {
    const depth = min(BLOCK, k - p);
    for (let j = 0; j < n; j += 8) {
      columns(c, a, panels, m, n, k, p, j, cRow, aRow, aStep, bias, p != 0);
      panels += panelBytes(depth, n - j);
    }
  }
}

@inline
function panelBytes(depth: i32, width: i32): usize {
  return depth << (width > 4 ? 5 : 4);
}

/** Packs B's rows p.. and columns j... */
@inline
function pack(panel: usize, b: usize, p: i32, j: i32, depth: i32, width: i32, bRow: i32, transposed: i32): void {
  if (transposed) packTransposed(panel, b + j * bRow + (p << 2), bRow, depth, width);
  else packRows(panel, b + p * bRow + (j << 2), bRow, depth, width);
}

/**
 * Columns j..j+8 of C: the share of the block of k that begins at p, from its packed panel. As a
 * function of its own it made products 5 % (large) to 30 % (tiny) slower.
 */
@inline
function columns(
  c: usize, a: usize, panel: usize, m: i32, n: i32, k: i32, p: i32, j: i32, cRow: i32, aRow: i32, aStep: i32, bias: usize,
  add: bool,
): void {
  const depth = min(BLOCK, k - p);
  const width = min(8, n - j);
  const blockA = a + p * aStep;
  const columnBias: usize = p + depth == k && bias != 0 ? bias + (j << 2) : 0;
  if (width > 4) rows(true, c + (j << 2), cRow, blockA, aRow, aStep, panel, depth, m, width, add, columnBias);
  else rows(false, c + (j << 2), cRow, blockA, aRow, aStep, panel, depth, m, width, add, columnBias);
}

/**
 * All rows of C against one packed panel: as many tiles of six rows as there are, then what
 * remains.
 */
@inline
function rows(
  wide: bool, c: usize, cRow: i32, a: usize, aRow: i32, aStep: i32, panel: usize, depth: i32, m: i32, width: i32, add: bool, bias: usize,
): void {
  let i = 0;
  for (; i + 6 <= m; i += 6) tile(6, wide, c + i * cRow, cRow, a + i * aRow, aRow, aStep, panel, depth, width, add, bias);
  if (i + 4 <= m) {
    tile(4, wide, c + i * cRow, cRow, a + i * aRow, aRow, aStep, panel, depth, width, add, bias);
    i += 4;
  }
  if (i + 2 <= m) {
    tile(2, wide, c + i * cRow, cRow, a + i * aRow, aRow, aStep, panel, depth, width, add, bias);
    i += 2;
  }
  if (i < m) tile(1, wide, c + i * cRow, cRow, a + i * aRow, aRow, aStep, panel, depth, width, add, bias);
}

/**
 * `count` rows by 8 columns (4 if not `wide`). `count` and `wide` are constants at every call: the
 * branches on them are folded away.
 */
@inline
function tile(
  count: i32, wide: bool, c: usize, cRow: i32, a: usize, aRow: i32, aStep: i32, panel: usize, depth: i32, width: i32, add: bool, bias: usize,
): void {
  const r1 = aRow, r2 = aRow * 2, r3 = aRow * 3, r4 = aRow * 4, r5 = aRow * 5;
  let a0 = f32x4.splat(0), a1 = a0, b0 = a0, b1 = a0, c0 = a0, c1 = a0, d0 = a0, d1 = a0, e0 = a0, e1 = a0, f0 = a0, f1 = a0;
  const end = panel + (depth << (wide ? 5 : 4));
  for (let at = panel; at < end; at += wide ? 32 : 16) {
    const left = v128.load(at);
    const right = wide ? v128.load(at, 16) : left;
    let x = v128.load32_splat(a);
    a0 = fma(x, left, a0);
    if (wide) a1 = fma(x, right, a1);
    if (count > 1) {
      x = v128.load32_splat(a + r1);
      b0 = fma(x, left, b0);
      if (wide) b1 = fma(x, right, b1);
    }
    if (count > 2) {
      x = v128.load32_splat(a + r2);
      c0 = fma(x, left, c0);
      if (wide) c1 = fma(x, right, c1);
      x = v128.load32_splat(a + r3);
      d0 = fma(x, left, d0);
      if (wide) d1 = fma(x, right, d1);
    }
    if (count > 4) {
      x = v128.load32_splat(a + r4);
      e0 = fma(x, left, e0);
      if (wide) e1 = fma(x, right, e1);
      x = v128.load32_splat(a + r5);
      f0 = fma(x, left, f0);
      if (wide) f1 = fma(x, right, f1);
    }
    a += aStep;
  }
  put(wide, c, a0, a1, width, add, bias);
  if (count > 1) put(wide, c + cRow, b0, b1, width, add, bias);
  if (count > 2) {
    put(wide, c + 2 * cRow, c0, c1, width, add, bias);
    put(wide, c + 3 * cRow, d0, d1, width, add, bias);
  }
  if (count > 4) {
    put(wide, c + 4 * cRow, e0, e1, width, add, bias);
    put(wide, c + 5 * cRow, f0, f1, width, add, bias);
  }
}

/** Stores one row of a tile: as the first block's sums, or added to those before. */
@inline
function put(wide: bool, c: usize, left: v128, right: v128, width: i32, add: bool, bias: usize): void {
  if (wide) {
    putVector(c, left, 4, add, bias);
    putVector(c + 16, right, width - 4, add, bias == 0 ? 0 : bias + 16);
  } else {
    putVector(c, left, width, add, bias);
  }
}

@inline
function putVector(c: usize, value: v128, width: i32, add: bool, bias: usize): void {
  if (width == 4) {
    if (add) value = f32x4.add(v128.load(c), value);
    if (bias != 0) value = f32x4.add(value, v128.load(bias));
    v128.store(c, value);
  } else {
    if (add) value = f32x4.add(loadPart(c, width), value);
    if (bias != 0) value = f32x4.add(value, loadPart(bias, width));
    storePart(c, value, width);
  }
}

/** The first `width` (1 to 3) of four floats, without reading beyond them. */
function loadPart(at: usize, width: i32): v128 {
  let value = v128.load32_zero(at);
  if (width > 1) value = v128.load32_lane(at, value, 1, 4);
  if (width > 2) value = v128.load32_lane(at, value, 2, 8);
  return value;
}

function storePart(at: usize, value: v128, width: i32): void {
  v128.store32_lane(at, value, 0);
  if (width > 1) v128.store32_lane(at, value, 1, 4);
  if (width > 2) v128.store32_lane(at, value, 2, 8);
}

/**
 * Copies `depth` rows of `width` columns into a panel 8 (4 if width ≤ 4) columns wide; missing
 * columns become zeros.
 */
function packRows(panel: usize, b: usize, bRow: i32, depth: i32, width: i32): void {
  for (let p = 0; p < depth; p++) {
    if (width == 8) {
      v128.store(panel, v128.load(b));
      v128.store(panel, v128.load(b, 16), 16);
      panel += 32;
    } else {
      v128.store(panel, width >= 4 ? v128.load(b) : loadPart(b, width));
      panel += 16;
      if (width > 4) {
        v128.store(panel, loadPart(b + 16, width - 4));
        panel += 16;
      }
    }
    b += bRow;
  }
}

/** The same from Bᵀ: column j of the panel is row j of b, `depth` numbers long. */
function packTransposed(panel: usize, b: usize, bRow: i32, depth: i32, width: i32): void {
  const step = width > 4 ? 32 : 16;
  packFour(panel, step, b, bRow, depth, min(4, width));
  if (width > 4) packFour(panel + 16, step, b + 4 * bRow, bRow, depth, width - 4);
}

/**
 * Four columns of a panel from `count` rows of Bᵀ; a missing row reads the first one's memory and
 * is masked to zero.
 */
function packFour(panel: usize, step: i32, b: usize, bRow: i32, depth: i32, count: i32): void {
  const row1 = count > 1 ? b + bRow : b, row2 = count > 2 ? b + 2 * bRow : b, row3 = count > 3 ? b + 3 * bRow : b;
  const mask = i32x4(-1, count > 1 ? -1 : 0, count > 2 ? -1 : 0, count > 3 ? -1 : 0);
  let p = 0;
  for (; p + 4 <= depth; p += 4) {
    const at = p << 2;
    const x0 = v128.load(b + at), x1 = v128.load(row1 + at), x2 = v128.load(row2 + at), x3 = v128.load(row3 + at);
    const low01 = v128.shuffle<f32>(x0, x1, 0, 4, 1, 5), low23 = v128.shuffle<f32>(x2, x3, 0, 4, 1, 5);
    const high01 = v128.shuffle<f32>(x0, x1, 2, 6, 3, 7), high23 = v128.shuffle<f32>(x2, x3, 2, 6, 3, 7);
    v128.store(panel, v128.and(mask, v128.shuffle<f64>(low01, low23, 0, 2)));
    v128.store(panel + step, v128.and(mask, v128.shuffle<f64>(low01, low23, 1, 3)));
    v128.store(panel + 2 * step, v128.and(mask, v128.shuffle<f64>(high01, high23, 0, 2)));
    v128.store(panel + 3 * step, v128.and(mask, v128.shuffle<f64>(high01, high23, 1, 3)));
    panel += 4 * step;
  }
  for (; p < depth; p++) {
    const at = p << 2;
    const x = f32x4(load<f32>(b + at), load<f32>(row1 + at), load<f32>(row2 + at), load<f32>(row3 + at));
    v128.store(panel, v128.and(mask, x));
    panel += step;
  }
}

/**
 * out[j] = Σᵢ x[i, j] over `count` rows, for columns begin..end: the sums of a bias' gradient. As a
 * product with a row of ones: in blocks of 256 rows, ascending.
 */
export function column_sums(out: usize, x: usize, row: i32, count: i32, begin: i32, end: i32): void {
  let j = begin;
  for (; j + 4 <= end; j += 4) {
    let total = f32x4.splat(0);
    for (let p = 0; p < count; p += BLOCK) {
      let sum = f32x4.splat(0);
      const stop = min(p + BLOCK, count);
      for (let i = p; i < stop; i++) sum = f32x4.add(sum, v128.load(x + i * row + (j << 2)));
      total = p == 0 ? sum : f32x4.add(total, sum);
    }
    v128.store(out + (j << 2), total);
  }
  for (; j < end; j++) {
    let total: f32 = 0;
    for (let p = 0; p < count; p += BLOCK) {
      let sum: f32 = 0;
      const stop = min(p + BLOCK, count);
      for (let i = p; i < stop; i++) sum += load<f32>(x + i * row + (j << 2));
      total = p == 0 ? sum : total + sum;
    }
    store<f32>(out + (j << 2), total);
  }
}
