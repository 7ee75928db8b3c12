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
