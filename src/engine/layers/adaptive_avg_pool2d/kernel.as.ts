import { addTo } from "../../kernels/windows.as";
import { sum_f32 } from "../../kernels/reduce.kernel.as";

/**
 * Means of windows that cover planes [height, width] so that rows × columns of them come out:
 * window i of n goes from ⌊i × size / n⌋ to ⌈(i + 1) × size / n⌉. Sums are in double, row by row,
 * or over all rows at once where the windows are as wide as the plane.
 */
export function adaptive_avg_pool_forward(
  y: usize, x: usize, planes: i32, height: i32, width: i32, rows: i32, columns: i32,
): void {
  for (let plane = 0; plane < planes; plane++) {
    for (let i = 0; i < rows; i++) {
      const top = begin(i, height, rows), tall = end(i, height, rows) - top;
      for (let j = 0; j < columns; j++) {
        const left = begin(j, width, columns), wide = end(j, width, columns) - left;
        let sum: f64 = 0;
        if (columns == 1) sum = sum_f32(x + (top * width << 2), tall * width);
        else for (let p = 0; p < tall; p++) sum += sum_f32(x + (((top + p) * width + left) << 2), wide);
        store<f32>(y, <f32>(sum / <f64>(tall * wide)));
        y += 4;
      }
    }
    x += height * width << 2;
  }
}

/** The gradient of the planes: each window's is shared out among its elements, window by window. */
export function adaptive_avg_pool_backward(
  dx: usize, dy: usize, planes: i32, height: i32, width: i32, rows: i32, columns: i32,
): void {
  for (let plane = 0; plane < planes; plane++) {
    memory.fill(dx, 0, height * width << 2);
    for (let i = 0; i < rows; i++) {
      const top = begin(i, height, rows), bottom = end(i, height, rows);
      for (let j = 0; j < columns; j++) {
        const left = begin(j, width, columns), right = end(j, width, columns);
        addTo(dx, width, top, bottom, left, right, load<f32>(dy) / <f32>((bottom - top) * (right - left)));
        dy += 4;
      }
    }
    dx += height * width << 2;
  }
}

@inline
function begin(i: i32, size: i32, count: i32): i32 {
  return i * size / count;
}

@inline
function end(i: i32, size: i32, count: i32): i32 {
  return ((i + 1) * size + count - 1) / count;
}
