import { firstInside, insideEnd, loadApart } from "../../kernels/windows.as";
import { select } from "../../kernels/vector.as";

/**
 * The largest number of each window, and its place in the plane, of `planes` planes [height,
 * width]. The first of equal numbers counts; NaN counts as larger than all others, and the last NaN
 * of a window wins. Padding never wins: the place of a window without elements is −1, its value −∞.
 */
export function max_pool_forward(
  y: usize, places: usize, x: usize, planes: i32, height: i32, width: i32, rows: i32, columns: i32,
  kernelRows: i32, kernelColumns: i32, strideRows: i32, strideColumns: i32,
  paddingRows: i32, paddingColumns: i32, dilationRows: i32, dilationColumns: i32,
): void {
  const inside = firstInside(paddingColumns, strideColumns, columns);
  const end = insideEnd(width, (kernelColumns - 1) * dilationColumns, paddingColumns, strideColumns, columns);
  for (let plane = 0; plane < planes; plane++) {
    for (let i = 0; i < rows; i++) {
      const top = i * strideRows - paddingRows;
      const first = top < 0 ? (dilationRows - 1 - top) / dilationRows : 0;
      const last = top >= height ? 0 : min(kernelRows, (height - 1 - top) / dilationRows + 1);
      for (let j = 0; j < inside; j++) {
        one(y, places, x, width, top, first, last, j, kernelColumns, strideColumns, paddingColumns, dilationRows, dilationColumns);
      }
      let j = inside;
      if (j + 4 <= end) {
        // The last four reach back over those before.
        for (; j < end; j += 4) {
          const at = min(j, end - 4);
          if (strideColumns == 1) four(y, places, x, width, top, first, last, at, kernelColumns, 1, paddingColumns, dilationRows, dilationColumns);
          else if (strideColumns == 2) four(y, places, x, width, top, first, last, at, kernelColumns, 2, paddingColumns, dilationRows, dilationColumns);
          else four(y, places, x, width, top, first, last, at, kernelColumns, strideColumns, paddingColumns, dilationRows, dilationColumns);
        }
        j = end;
      }
      for (; j < columns; j++) {
        one(y, places, x, width, top, first, last, j, kernelColumns, strideColumns, paddingColumns, dilationRows, dilationColumns);
      }
      y += columns << 2;
      places += columns << 2;
    }
    x += height * width << 2;
  }
}

/** Windows j..j+4 of a row, whose columns all lie inside, over the kernel's rows first..last. */
@inline
function four(
  y: usize, places: usize, x: usize, width: i32, top: i32, first: i32, last: i32, j: i32,
  kernelColumns: i32, stride: i32, padding: i32, dilationRows: i32, dilationColumns: i32,
): void {
  const apart = i32x4.mul(i32x4.splat(stride), i32x4(0, 1, 2, 3));
  const left = j * stride - padding;
  let most = f32x4.splat(-Infinity);
  let place = first < last ? i32x4.add(i32x4.splat((top + first * dilationRows) * width + left), apart) : i32x4.splat(-1);
  for (let p = first; p < last; p++) {
    const row = (top + p * dilationRows) * width + left;
    for (let q = 0; q < kernelColumns; q++) {
      const at = row + q * dilationColumns;
      const value = loadApart(x + (at << 2), stride);
      const wins = v128.or(f32x4.gt(value, most), f32x4.ne(value, value));
      most = select(value, most, wins);
      place = select(i32x4.add(i32x4.splat(at), apart), place, wins);
    }
  }
  v128.store(y + (j << 2), most);
  v128.store(places + (j << 2), place);
}

/** Window j of a row, of which some columns may lie outside. */
function one(
  y: usize, places: usize, x: usize, width: i32, top: i32, first: i32, last: i32, j: i32,
  kernelColumns: i32, stride: i32, padding: i32, dilationRows: i32, dilationColumns: i32,
): void {
  const left = j * stride - padding;
  const begin = max(left, 0), length = min(left + kernelColumns, width) - begin;
  if (dilationColumns == 1 && length >= LONG && first < last) {
    long(y + (j << 2), places + (j << 2), x, width, top + first * dilationRows, last - first, dilationRows, begin, length);
    return;
  }
  let most = -Infinity as f32;
  let place = -1;
  for (let p = first; p < last; p++) {
    for (let q = 0; q < kernelColumns; q++) {
      const column = left + q * dilationColumns;
      if (column < 0 || column >= width) continue;
      const at = (top + p * dilationRows) * width + column;
      const value = load<f32>(x + (at << 2));
      if (place < 0 || value > most || value != value) {
        most = value;
        place = at;
      }
    }
  }
  store<f32>(y + (j << 2), most);
  store<i32>(places + (j << 2), place);
}

/** Columns from which on it pays to look at a window's numbers first and at their places then. */
const LONG: i32 = 8;

/**
 * A window of `rows` rows, `apart` rows apart from row `top` on, and `length` columns from `begin`
 * on.
 */
function long(y: usize, places: usize, x: usize, width: i32, top: i32, rows: i32, apart: i32, begin: i32, length: i32): void {
  let row = x + ((top * width + begin) << 2);
  const step = apart * width << 2;
  let a = f32x4.splat(-Infinity), b = a, isNaN = i32x4.splat(0);
  for (let p = 0; p < rows; p++, row += step) {
    let q = 0;
    for (; q + 8 <= length; q += 8) {
      const at = row + (q << 2);
      const left = v128.load(at), right = v128.load(at, 16);
      // NaN is never more: it is found by not being itself.
      a = f32x4.pmax(a, left);
      b = f32x4.pmax(b, right);
      isNaN = v128.or(isNaN, v128.or(f32x4.ne(left, left), f32x4.ne(right, right)));
    }
    if (q == length) continue;
    // The last eight reach back over those before.
    const at = row + ((length - 8) << 2);
    const left = v128.load(at), right = v128.load(at, 16);
    a = f32x4.pmax(a, left);
    b = f32x4.pmax(b, right);
    isNaN = v128.or(isNaN, v128.or(f32x4.ne(left, left), f32x4.ne(right, right)));
  }
  a = f32x4.pmax(a, b);
  const most = max(max(f32x4.extract_lane(a, 0), f32x4.extract_lane(a, 1)), max(f32x4.extract_lane(a, 2), f32x4.extract_lane(a, 3)));
  const place = v128.any_true(isNaN)
    ? lastNaN(x, width, top, rows, apart, begin, length)
    : firstOf(most, x, width, top, rows, apart, begin, length);
  // Zeros are equal whatever their sign: the value is what lies there.
  store<f32>(y, load<f32>(x + (place << 2)));
  store<i32>(places, place);
}

/** The first place of a number that the window has. */
function firstOf(value: f32, x: usize, width: i32, top: i32, rows: i32, apart: i32, begin: i32, length: i32): i32 {
  const wanted = f32x4.splat(value);
  for (let p = 0; p < rows; p++) {
    const row = (top + p * apart) * width + begin;
    for (let q = 0; q < length; q += 8) {
      const at = row + min(q, length - 8);
      const left = f32x4.eq(v128.load(x + (at << 2)), wanted), right = f32x4.eq(v128.load(x + (at << 2), 16), wanted);
      if (v128.any_true(v128.or(left, right))) return at + ctz(i32x4.bitmask(left) | i32x4.bitmask(right) << 4);
    }
  }
  return -1;
}

function lastNaN(x: usize, width: i32, top: i32, rows: i32, apart: i32, begin: i32, length: i32): i32 {
  for (let p = rows - 1; p >= 0; p--) {
    const row = (top + p * apart) * width + begin;
    for (let at = row + length - 1; at >= row; at--) {
      const value = load<f32>(x + (at << 2));
      if (value != value) return at;
    }
  }
  return -1;
}

/** The gradient of planes of `size` numbers from that of `count` windows each, in their order. */
export function max_pool_backward(dx: usize, dy: usize, places: usize, planes: i32, size: i32, count: i32): void {
  for (let plane = 0; plane < planes; plane++) {
    memory.fill(dx, 0, size << 2);
    for (let i = 0; i < count; i++) {
      const place = load<i32>(places + (i << 2));
      if (place < 0) continue;
      const at = dx + (place << 2);
      store<f32>(at, load<f32>(at) + load<f32>(dy + (i << 2)));
    }
    dx += size << 2;
    dy += count << 2;
    places += count << 2;
  }
}
