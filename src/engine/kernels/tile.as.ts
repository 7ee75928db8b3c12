// The inner part of every matrix product: tiles of C = A · B against a packed panel of B.
//
// A panel holds one block of k for 8 columns of B (4 if no more are left), k after k. It is 8 KiB
// at most and stays in the first-level cache. Who packs it decides what B is: rows or columns of a
// matrix (matmul.kernel.as.ts), or numbers from anywhere (gathered.kernel.as.ts).
//
// The tile is 6 rows by 8 columns: 12 accumulators, 2 vectors of B and one broadcast of A fill the
// 16 vector registers of x86-64. A is read where it lies, with one stride between rows and another
// along k.
import { fma } from "./vector.as";

/** Blocks along k. Part of the arithmetic: changing it changes results. */
export const BLOCK: i32 = 256;

/**
 * All rows of C against one packed panel: as many tiles of six rows as there are, then what
 * remains. `add`: to what is in C. `bias` is the address of a number for each of the columns or, if
 * `byRow`, for each row; or 0. `wide` (8 columns) and `byRow` are constants at every call.
 */
@inline
export function rows(
  wide: bool, byRow: bool, c: usize, cRow: i32, a: usize, aRow: i32, aStep: i32, panel: usize, depth: i32, m: i32, width: i32, add: bool, bias: usize,
): void {
  let i = 0;
  for (; i + 6 <= m; i += 6) tile(6, wide, byRow, c + i * cRow, cRow, a + i * aRow, aRow, aStep, panel, depth, width, add, rowBias(byRow, bias, i));
  if (i + 4 <= m) {
    tile(4, wide, byRow, c + i * cRow, cRow, a + i * aRow, aRow, aStep, panel, depth, width, add, rowBias(byRow, bias, i));
    i += 4;
  }
  if (i + 2 <= m) {
    tile(2, wide, byRow, c + i * cRow, cRow, a + i * aRow, aRow, aStep, panel, depth, width, add, rowBias(byRow, bias, i));
    i += 2;
  }
  if (i < m) tile(1, wide, byRow, c + i * cRow, cRow, a + i * aRow, aRow, aStep, panel, depth, width, add, rowBias(byRow, bias, i));
}

/** Where the bias of row `i` and the rows after it lies. */
@inline
function rowBias(byRow: bool, bias: usize, i: i32): usize {
  return byRow && bias != 0 ? bias + (i << 2) : bias;
}

/**
 * `count` rows by 8 columns (4 if not `wide`). `count`, `wide` and `byRow` are constants at every
 * call: the branches on them are folded away.
 */
@inline
export function tile(
  count: i32, wide: bool, byRow: bool, c: usize, cRow: i32, a: usize, aRow: i32, aStep: i32, panel: usize, depth: i32, width: i32, add: bool, bias: usize,
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
  put(wide, byRow, c, a0, a1, width, add, bias);
  if (count > 1) put(wide, byRow, c + cRow, b0, b1, width, add, rowBias(byRow, bias, 1));
  if (count > 2) {
    put(wide, byRow, c + 2 * cRow, c0, c1, width, add, rowBias(byRow, bias, 2));
    put(wide, byRow, c + 3 * cRow, d0, d1, width, add, rowBias(byRow, bias, 3));
  }
  if (count > 4) {
    put(wide, byRow, c + 4 * cRow, e0, e1, width, add, rowBias(byRow, bias, 4));
    put(wide, byRow, c + 5 * cRow, f0, f1, width, add, rowBias(byRow, bias, 5));
  }
}

/** Stores one row of a tile: as the first block's sums, or added to those before. */
@inline
function put(wide: bool, byRow: bool, c: usize, left: v128, right: v128, width: i32, add: bool, bias: usize): void {
  if (wide) {
    putVector(byRow, c, left, 4, add, bias);
    putVector(byRow, c + 16, right, width - 4, add, byRow || bias == 0 ? bias : bias + 16);
  } else {
    putVector(byRow, c, left, width, add, bias);
  }
}

@inline
function putVector(byRow: bool, c: usize, value: v128, width: i32, add: bool, bias: usize): void {
  if (width == 4) {
    if (add) value = f32x4.add(v128.load(c), value);
    if (bias != 0) value = f32x4.add(value, byRow ? v128.load32_splat(bias) : v128.load(bias));
    v128.store(c, value);
  } else {
    if (add) value = f32x4.add(loadPart(c, width), value);
    if (bias != 0) value = f32x4.add(value, byRow ? v128.load32_splat(bias) : loadPart(bias, width));
    storePart(c, value, width);
  }
}

/** The first `width` (1 to 3) of four floats, without reading beyond them. */
export function loadPart(at: usize, width: i32): v128 {
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
