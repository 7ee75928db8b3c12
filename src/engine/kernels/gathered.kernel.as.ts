// The matrix product C = A · B where B lies nowhere as a matrix: its element (p, j) is the number
// at b + steps[p] + lanes[j]. Two lists of offsets say which numbers of an image meet in a
// convolution: one goes over the taps of the kernel, the other over its positions. Which is which
// depends on what is computed:
//
//   output           columns are positions, k runs over taps (channel, row, column)
//   input gradient   likewise, over the output gradient and with the kernel turned around
//   weight gradient  columns are taps, k runs over positions
//
// The numbers are packed into panels (tile.as.ts), 8 columns by one block of k at a time, so that
// the image is never copied out as a matrix (im2col). Neighbouring columns mostly read neighbouring
// numbers: four of them are one load, or two where a row of the image ends between them.
import { select } from "./vector.as";
import { BLOCK, rows } from "./tile.as";

/**
 * C[m,n] = A[m,k] · B[k,n] (+ bias), in the arithmetic of `matmul`. Strides and offsets are bytes.
 * `lanes` and `steps` are the addresses of n and k int32. `bias` is the address of a number for
 * each row, or 0. If `add`, the block sums are added to what is in C. `panel`: 8 KiB of scratch.
 */
export function matmul_gathered(
  c: usize, a: usize, b: usize, m: i32, n: i32, k: i32,
  cRow: i32, aRow: i32, aStep: i32, lanes: usize, steps: usize, add: i32, bias: usize, panel: usize,
): void {
  let p = 0;
  do {
    const depth = min(BLOCK, k - p);
    const blockA = a + p * aStep;
    const blockBias: usize = p + depth == k ? bias : 0;
    const more = p != 0 || add != 0;
    for (let j = 0; j < n; j += 8) {
      const width = min(8, n - j);
      pack(panel, b, lanes + (j << 2), steps + (p << 2), depth, width);
      if (width > 4) rows(true, true, c + (j << 2), cRow, blockA, aRow, aStep, panel, depth, m, width, more, blockBias);
      else rows(false, true, c + (j << 2), cRow, blockA, aRow, aStep, panel, depth, m, width, more, blockBias);
    }
    p += BLOCK;
  } while (p < k);
}

/** Gathers a panel; missing columns become copies of the last one. */
function pack(panel: usize, b: usize, lanes: usize, steps: usize, depth: i32, width: i32): void {
  if (width <= 4) {
    packFour(panel, 16, b, lanes, steps, depth, width);
  } else {
    packFour(panel, 32, b, lanes, steps, depth, 4);
    packFour(panel + 16, 32, b, lanes + 16, steps, depth, width - 4);
  }
}

/** Four columns of a panel, of which `count` are wanted. */
function packFour(panel: usize, bytes: i32, b: usize, lanes: usize, steps: usize, depth: i32, count: i32): void {
  const end = steps + (depth << 2);
  const b0 = b + load<i32>(lanes);
  const run = count < 4 ? 0 : neighbours(lanes);
  if (run == 4) {
    for (; steps < end; steps += 4) {
      v128.store(panel, v128.load(b0 + load<i32>(steps)));
      panel += bytes;
    }
  } else if (run > 0) {
    const second = b + load<i32>(lanes + (run << 2)) - (run << 2);
    const mask = i32x4.gt_s(i32x4.splat(run), i32x4(0, 1, 2, 3));
    for (; steps < end; steps += 4) {
      const step = load<i32>(steps);
      v128.store(panel, select(v128.load(b0 + step), v128.load(second + step), mask));
      panel += bytes;
    }
  } else {
    const b1 = b + load<i32>(lanes + (min(1, count - 1) << 2));
    const b2 = b + load<i32>(lanes + (min(2, count - 1) << 2));
    const b3 = b + load<i32>(lanes + (min(3, count - 1) << 2));
    for (; steps < end; steps += 4) {
      const step = load<i32>(steps);
      let x = v128.load32_zero(b0 + step);
      x = v128.load32_lane(b1 + step, x, 1);
      x = v128.load32_lane(b2 + step, x, 2);
      x = v128.load32_lane(b3 + step, x, 3);
      v128.store(panel, x);
      panel += bytes;
    }
  }
}

/**
 * How many of four columns lie side by side from the first one on, if the others lie side by side
 * too; else 0.
 */
function neighbours(lanes: usize): i32 {
  const l0 = load<i32>(lanes), l1 = load<i32>(lanes, 4), l2 = load<i32>(lanes, 8), l3 = load<i32>(lanes, 12);
  if (l1 - l0 == 4) {
    if (l2 - l1 != 4) return l3 - l2 == 4 ? 2 : 0;
    return l3 - l2 == 4 ? 4 : 3;
  }
  return l2 - l1 == 4 && l3 - l2 == 4 ? 1 : 0;
}
