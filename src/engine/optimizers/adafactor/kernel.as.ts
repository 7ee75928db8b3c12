import { fma, fnma, load, store } from "../../kernels/vector.as";
import { across, addSquare, lower, upper } from "../../kernels/wide.as";

// A matrix of `rows` by `columns` gradients g. Its second moments are row × col / mean(row), where
// row has an element for each row and col one for each column. If `row` is 0 the matrix is a
// vector, and col alone holds its second moments.

/**
 * Moves row and col towards the means of g² by `share`. `sums`: scratch of one double per column.
 */
export function adafactor_moments(
  g: usize, row: usize, col: usize, rows: i32, columns: i32, share: f32, sums: usize,
): void {
  memory.fill(sums, 0, <usize>columns << 3);
  for (let i = 0; i < rows; i++) {
    const total = addSquares(g + <usize>(i * columns << 2), columns, sums);
    if (row != 0) move(row + <usize>(i << 2), total / columns, share);
  }
  for (let j = 0; j < columns; j++) move(col + <usize>(j << 2), f64.load(sums + <usize>(j << 3)) / rows, share);
}

/**
 * The sum of u². u is g divided by the root of its second moment, which counts as `least`² if it is
 * smaller. `roots`: scratch of one float per column.
 */
export function adafactor_squares(
  g: usize, row: usize, col: usize, rows: i32, columns: i32, least: f32, roots: usize,
): f64 {
  inverseRoots(col, columns, roots);
  const most = f32x4.splat(1 / least), scale = inverseMean(row, rows, least);
  const body = (<usize>columns & ~7) << 2, all = <usize>columns << 2;
  let sum: f64 = 0;
  for (let i = 0; i < rows; i++, g += all) {
    const root = f32x4.splat(rowRoot(row, i, scale));
    let s01 = f64x2.splat(0), s23 = s01, s45 = s01, s67 = s01;
    let j: usize = 0;
    for (; j < body; j += 32) {
      const u = direction(g + j, roots + j, root, most, true), w = direction(g + j + 16, roots + j + 16, root, most, true);
      s01 = addSquare(s01, lower(u));
      s23 = addSquare(s23, upper(u));
      s45 = addSquare(s45, lower(w));
      s67 = addSquare(s67, upper(w));
    }
    sum += across(s01) + across(s23) + (across(s45) + across(s67));
    for (; j < all; j += 4) {
      const u = <f64>f32x4.extract_lane(direction(g + j, roots + j, root, most, false), 0);
      sum += u * u;
    }
  }
  return sum;
}

/** x = shrink × x − rate × u. `roots`: scratch of one float per column. */
export function adafactor_step(
  x: usize, g: usize, row: usize, col: usize, rows: i32, columns: i32, least: f32, shrink: f32, rate: f32, roots: usize,
): void {
  inverseRoots(col, columns, roots);
  const most = f32x4.splat(1 / least), scale = inverseMean(row, rows, least);
  const k = f32x4.splat(shrink), r = f32x4.splat(rate);
  const body = (<usize>columns & ~3) << 2, all = <usize>columns << 2;
  for (let i = 0; i < rows; i++, x += all, g += all) {
    const root = f32x4.splat(rowRoot(row, i, scale));
    let j: usize = 0;
    for (; j < body; j += 16) step(x + j, g + j, roots + j, root, most, k, r, true);
    for (; j < all; j += 4) step(x + j, g + j, roots + j, root, most, k, r, false);
  }
}

@inline
function step(x: usize, g: usize, roots: usize, root: v128, most: v128, shrink: v128, rate: v128, full: bool): void {
  store(x, fnma(rate, direction(g, roots, root, most, full), f32x4.mul(shrink, load(x, full))), full);
}

/**
 * u of one vector. The root of row × col is a product of two roots, so no element needs a root or a
 * division of its own.
 */
@inline
function direction(g: usize, roots: usize, root: v128, most: v128, full: bool): v128 {
  return f32x4.mul(load(g, full), f32x4.pmin(f32x4.mul(root, load(roots, full)), most));
}

/** 1/√ of each column's second moment. */
function inverseRoots(col: usize, columns: i32, roots: usize): void {
  for (let j: usize = 0; j < <usize>columns << 2; j += 4) f32.store(roots + j, <f32>(1 / sqrt<f64>(f32.load(col + j))));
}

/** Adds the squares of a row to the columns' sums, and returns their own sum. */
function addSquares(g: usize, columns: i32, sums: usize): f64 {
  let s01 = f64x2.splat(0), s23 = s01, s45 = s01, s67 = s01;
  const body = (<usize>columns & ~7) << 2, all = <usize>columns << 2;
  let j: usize = 0;
  for (; j < body; j += 32) {
    const x = v128.load(g + j), y = v128.load(g + j, 16), at = sums + (j << 1);
    s01 = addSquare(s01, lower(x));
    s23 = addSquare(s23, upper(x));
    s45 = addSquare(s45, lower(y));
    s67 = addSquare(s67, upper(y));
    v128.store(at, addSquare(v128.load(at), lower(x)));
    v128.store(at, addSquare(v128.load(at, 16), upper(x)), 16);
    v128.store(at, addSquare(v128.load(at, 32), lower(y)), 32);
    v128.store(at, addSquare(v128.load(at, 48), upper(y)), 48);
  }
  let sum = across(s01) + across(s23) + (across(s45) + across(s67));
  for (; j < all; j += 4) {
    const x = <f64>f32.load(g + j), at = sums + (j << 1);
    f64.store(at, f64.load(at) + x * x);
    sum += x * x;
  }
  return sum;
}

@inline
function move(at: usize, mean: f64, share: f32): void {
  const before = f32.load(at);
  f32.store(at, before + share * (<f32>mean - before));
}

/** 1 / max(mean(row), least) */
function inverseMean(row: usize, rows: i32, least: f32): f64 {
  if (row == 0) return 1;
  let sum: f64 = 0;
  for (let i = 0; i < rows; i++) sum += f32.load(row + <usize>(i << 2));
  return 1 / max(sum / rows, <f64>least);
}

/** 1/√ of the ratio of this row's second moments to those of the columns. */
@inline
function rowRoot(row: usize, i: i32, scale: f64): f32 {
  return row == 0 ? 1 : <f32>(1 / sqrt<f64>(f32.load(row + <usize>(i << 2)) * scale));
}
