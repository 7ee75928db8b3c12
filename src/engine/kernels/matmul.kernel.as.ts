// The matrix product, C[m,n] = A[m,k] · B[k,n], in canonical arithmetic.
//
// Which bits come out is fixed by k alone: k is cut into blocks of 256; in a block each output is
// one chain of fused multiply-adds from +0 in ascending k; the block sums are added in ascending
// order, then the bias. Everything below may therefore be re-tiled, widened or replaced (by a
// native product) without changing a bit, as long as vectors run across outputs and never along k.
//
// B is packed, a panel at a time (tile.as.ts), because rows of B lie far apart, and because the
// forward pass reads B = Wᵀ across its rows. A is read where it lies, so that the same tile serves
// X·Wᵀ, dY·W and dYᵀ·X.
import { BLOCK, loadPart, rows, tile } from "./tile.as";
import { load as loadFloats, store as storeFloats } from "./vector.as";

/**
 * Rows of A and C that go through all of B before the next ones: a block of A, 192 KiB, stays in
 * the second-level cache. A multiple of 6.
 */
const ROWS: i32 = 192;
/** Columns of A that `matmul_transposed` packs at a time, at most; a multiple of 6. */
const PACKED_ROWS: i32 = 96;

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
  for (let i = 0; i < m; i += ROWS) {
    const count = min(ROWS, m - i), from = a + i * aRow, to = c + i * cRow;
    for (let p = 0; p < k; p += BLOCK) {
      const depth = min(BLOCK, k - p);
      for (let j = 0; j < n; j += 8) {
        pack(panel, b, p, j, depth, min(8, n - j), bRow, transposed);
        columns(to, from, panel, count, n, k, p, j, cRow, aRow, aStep, bias, add || p != 0);
      }
    }
  }
}

/**
 * C = Aᵀ · B with the bits of `matmul`: the gradient of a weight, for which A[k,m] and B[k,n] are
 * read down their rows. Rows of A that lie far apart would be read again for every panel of B, so a
 * block of A is packed too. `scratch`: the 8 KiB panel, then a KiB for each of the up to
 * PACKED_ROWS columns of A.
 */
export function matmul_transposed(
  c: usize, a: usize, b: usize, m: i32, n: i32, k: i32, cRow: i32, aRow: i32, bRow: i32, scratch: usize,
): void {
  const packed = scratch + 8192;
  for (let i = 0; i < m; i += PACKED_ROWS) {
    const count = min(PACKED_ROWS, m - i), to = c + i * cRow;
    for (let p = 0; p < k; p += BLOCK) {
      const depth = min(BLOCK, k - p);
      packColumns(packed, a + (i << 2) + p * aRow, aRow, depth, count);
      for (let j = 0; j < n; j += 8) {
        const width = min(8, n - j);
        packRows(scratch, b + p * bRow + (j << 2), bRow, depth, width);
        if (width > 4) packedRows(true, to + (j << 2), cRow, packed, scratch, depth, count, width, p != 0);
        else packedRows(false, to + (j << 2), cRow, packed, scratch, depth, count, width, p != 0);
      }
    }
  }
}

/** Columns of A as the rows of tiles: k after k, as many as the tile has. */
function packColumns(to: usize, a: usize, aRow: i32, depth: i32, m: i32): void {
  for (let i = 0; i < m; ) {
    const left = m - i, count = left >= 6 ? 6 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
    let from = a + (i << 2);
    for (let p = 0; p < depth; p++, from += aRow, to += count << 2) {
      if (count == 1) store<u32>(to, load<u32>(from));
      else store<u64>(to, load<u64>(from));
      if (count >= 4) store<u64>(to, load<u64>(from, 8), 8);
      if (count == 6) store<u64>(to, load<u64>(from, 16), 16);
    }
    i += count;
  }
}

/** `rows` of tile.as.ts for columns that are packed. */
@inline
function packedRows(wide: bool, c: usize, cRow: i32, a: usize, panel: usize, depth: i32, m: i32, width: i32, add: bool): void {
  const row = depth << 2;
  let i = 0;
  for (; i + 6 <= m; i += 6) tile(6, wide, false, c + i * cRow, cRow, a + i * row, 4, 24, panel, depth, width, add, 0);
  if (i + 4 <= m) {
    tile(4, wide, false, c + i * cRow, cRow, a + i * row, 4, 16, panel, depth, width, add, 0);
    i += 4;
  }
  if (i + 2 <= m) {
    tile(2, wide, false, c + i * cRow, cRow, a + i * row, 4, 8, panel, depth, width, add, 0);
    i += 2;
  }
  if (i < m) tile(1, wide, false, c + i * cRow, cRow, a + i * row, 4, 4, panel, depth, width, add, 0);
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
  if (width > 4) rows(true, false, c + (j << 2), cRow, blockA, aRow, aStep, panel, depth, m, width, add, columnBias);
  else rows(false, false, c + (j << 2), cRow, blockA, aRow, aStep, panel, depth, m, width, add, columnBias);
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
  for (; j + 16 <= end; j += 16) sumColumns(out + (j << 2), x + (j << 2), row, count, 16);
  for (; j + 4 <= end; j += 4) sumColumns(out + (j << 2), x + (j << 2), row, count, 4);
  for (; j < end; j++) sumColumns(out + (j << 2), x + (j << 2), row, count, 1);
}

/** The sums of 16, 4 or 1 columns. A cache line holds 16, and is better read once. */
@inline
function sumColumns(out: usize, x: usize, row: i32, count: i32, columns: i32): void {
  for (let p = 0; p < count; p += BLOCK) {
    let a = f32x4.splat(0), b = a, c = a, d = a;
    for (let i = p, stop = min(p + BLOCK, count); i < stop; i++, x += row) {
      a = f32x4.add(a, loadFloats(x, columns != 1));
      if (columns != 16) continue;
      b = f32x4.add(b, v128.load(x, 16));
      c = f32x4.add(c, v128.load(x, 32));
      d = f32x4.add(d, v128.load(x, 48));
    }
    storeFloats(out, p == 0 ? a : f32x4.add(loadFloats(out, columns != 1), a), columns != 1);
    if (columns != 16) continue;
    v128.store(out, p == 0 ? b : f32x4.add(v128.load(out, 16), b), 16);
    v128.store(out, p == 0 ? c : f32x4.add(v128.load(out, 32), c), 32);
    v128.store(out, p == 0 ? d : f32x4.add(v128.load(out, 48), d), 48);
  }
}
