import { fma, fnma, load, store } from "../../kernels/vector.as";
import { across, lower, square, upper } from "../../kernels/wide.as";

// A matrix of `rows` by `columns` gradients g. Its second moments are row × col / mean(row), where row and col have an element for
// each row and column; if `row` is 0 they are those of col alone, and the matrix is a vector.

/** Moves row and col by `share` to the means of g². `sums`: scratch of a double a column. */
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

/** The sum of u², where u is g divided by the root of its second moment, which counts `least`² at least. */
export function adafactor_squares(g: usize, row: usize, col: usize, rows: i32, columns: i32, least: f32): f64 {
  const floor = f32x4.splat(least * least), scale = inverseMean(row, rows, least);
  const body = (<usize>columns & ~3) << 2, all = <usize>columns << 2;
  let sum: f64 = 0;
  for (let i = 0; i < rows; i++, g += all) {
    const factor = f32x4.splat(rowFactor(row, i, scale));
    let pair = f64x2.splat(0);
    let j: usize = 0;
    for (; j < body; j += 16) {
      const u = direction(g + j, col + j, factor, floor, true);
      pair = f64x2.add(pair, f64x2.add(square(lower(u)), square(upper(u))));
    }
    for (; j < all; j += 4) pair = f64x2.add(pair, square(lower(direction(g + j, col + j, factor, floor, false))));
    sum += across(pair);
  }
  return sum;
}

/** x = shrink × x − rate × u */
export function adafactor_step(
  x: usize, g: usize, row: usize, col: usize, rows: i32, columns: i32, least: f32, shrink: f32, rate: f32,
): void {
  const floor = f32x4.splat(least * least), scale = inverseMean(row, rows, least);
  const k = f32x4.splat(shrink), r = f32x4.splat(rate);
  const body = (<usize>columns & ~3) << 2, all = <usize>columns << 2;
  for (let i = 0; i < rows; i++, x += all, g += all) {
    const factor = f32x4.splat(rowFactor(row, i, scale));
    let j: usize = 0;
    for (; j < body; j += 16) step(x + j, g + j, col + j, factor, floor, k, r, true);
    for (; j < all; j += 4) step(x + j, g + j, col + j, factor, floor, k, r, false);
  }
}

@inline
function step(x: usize, g: usize, col: usize, factor: v128, floor: v128, shrink: v128, rate: v128, full: bool): void {
  store(x, fnma(rate, direction(g, col, factor, floor, full), f32x4.mul(shrink, load(x, full))), full);
}

/** u of one vector; in the tail the lanes beyond the first are 0. */
@inline
function direction(g: usize, col: usize, factor: v128, floor: v128, full: bool): v128 {
  const moment = f32x4.max(f32x4.mul(factor, load(col, full)), floor);
  const u = f32x4.div(load(g, full), f32x4.sqrt(moment));
  return full ? u : f32x4.replace_lane(f32x4.splat(0), 0, f32x4.extract_lane(u, 0));
}

/** Adds the squares of a row to the columns' sums, and returns their own sum. */
function addSquares(g: usize, columns: i32, sums: usize): f64 {
  let pair = f64x2.splat(0);
  const body = columns & ~3;
  let j = 0;
  for (; j < body; j += 4) {
    const x = v128.load(g + <usize>(j << 2)), at = sums + <usize>(j << 3);
    const low = square(lower(x)), high = square(upper(x));
    v128.store(at, f64x2.add(v128.load(at), low));
    v128.store(at, f64x2.add(v128.load(at, 16), high), 16);
    pair = f64x2.add(pair, f64x2.add(low, high));
  }
  let sum = across(pair);
  for (; j < columns; j++) {
    const x = <f64>f32.load(g + <usize>(j << 2)), at = sums + <usize>(j << 3);
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

/** What a row's second moments are, in parts of the columns'. Not above `rows`, so that the product does not overflow. */
@inline
function rowFactor(row: usize, i: i32, scale: f64): f32 {
  return row == 0 ? 1 : <f32>(f32.load(row + <usize>(i << 2)) * scale);
}
