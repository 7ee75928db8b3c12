import { addTo, firstInside, insideEnd, loadApart } from "../../kernels/windows.as";

/**
 * The mean of each window of `planes` planes [height, width]: the sum of what lies inside, row by
 * row, divided by `divisor` or, if that is 0, by the number of elements. Padding counts as elements
 * if `countPadding`; what lies beyond it never does.
 */
export function avg_pool_forward(
  y: usize, x: usize, planes: i32, height: i32, width: i32, rows: i32, columns: i32,
  kernelRows: i32, kernelColumns: i32, strideRows: i32, strideColumns: i32,
  paddingRows: i32, paddingColumns: i32, countPadding: i32, divisor: i32,
): void {
  const inside = firstInside(paddingColumns, strideColumns, columns);
  const end = insideEnd(width, kernelColumns - 1, paddingColumns, strideColumns, columns);
  for (let plane = 0; plane < planes; plane++) {
    for (let i = 0; i < rows; i++) {
      const top = i * strideRows - paddingRows;
      const first = max(top, 0), last = min(top + kernelRows, height);
      let j = 0;
      while (j < columns) {
        const left = j * strideColumns - paddingColumns;
        const by = divisorOf(height, width, top, left, kernelRows, kernelColumns, paddingRows, paddingColumns, countPadding, divisor);
        if (j >= inside && j + 4 <= end) {
          let sum = f32x4.splat(0);
          for (let p = first; p < last; p++) {
            const row = x + ((p * width + left) << 2);
            for (let q = 0; q < kernelColumns; q++) sum = f32x4.add(sum, loadApart(row + (q << 2), strideColumns));
          }
          v128.store(y, f32x4.div(sum, f32x4.splat(by)));
          y += 16;
          j += 4;
        } else {
          const begin = max(left, 0), stop = min(left + kernelColumns, width);
          let sum: f32 = 0;
          for (let p = first; p < last; p++) {
            for (let q = begin; q < stop; q++) sum += load<f32>(x + ((p * width + q) << 2));
          }
          store<f32>(y, sum / by);
          y += 4;
          j++;
        }
      }
    }
    x += height * width << 2;
  }
}

/** The gradient of the planes: each window's is shared out among its elements, window by window. */
export function avg_pool_backward(
  dx: usize, dy: usize, planes: i32, height: i32, width: i32, rows: i32, columns: i32,
  kernelRows: i32, kernelColumns: i32, strideRows: i32, strideColumns: i32,
  paddingRows: i32, paddingColumns: i32, countPadding: i32, divisor: i32,
): void {
  for (let plane = 0; plane < planes; plane++) {
    memory.fill(dx, 0, height * width << 2);
    for (let i = 0; i < rows; i++) {
      const top = i * strideRows - paddingRows;
      const first = max(top, 0), last = min(top + kernelRows, height);
      for (let j = 0; j < columns; j++) {
        const left = j * strideColumns - paddingColumns;
        const by = divisorOf(height, width, top, left, kernelRows, kernelColumns, paddingRows, paddingColumns, countPadding, divisor);
        addTo(dx, width, first, last, max(left, 0), min(left + kernelColumns, width), load<f32>(dy) / by);
        dy += 4;
      }
    }
    dx += height * width << 2;
  }
}

@inline
function divisorOf(
  height: i32, width: i32, top: i32, left: i32, kernelRows: i32, kernelColumns: i32,
  paddingRows: i32, paddingColumns: i32, countPadding: i32, divisor: i32,
): f32 {
  if (divisor != 0) return <f32>divisor;
  const border = countPadding ? 1 : 0;
  const tall = min(top + kernelRows, height + border * paddingRows) - max(top, -border * paddingRows);
  const wide = min(left + kernelColumns, width + border * paddingColumns) - max(left, -border * paddingColumns);
  return <f32>(tall * wide);
}
