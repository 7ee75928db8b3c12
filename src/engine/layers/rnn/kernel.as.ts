// One time step of a plain recurrent net, and the same step backward through time (../recurrent.ts
// has the whole).
//
// A sample's row of the step holds the states from after and from before the step, `hidden` floats
// each.
import { tanh } from "../../kernels/math.as";
import { fnma, load, store } from "../../kernels/vector.as";

/**
 * `row`: the input's share of the new states, x·Wᵀ + b, becomes what is kept. `recurrent`: the old
 * states' share, [samples, hidden]. `h`: the states, [samples, hidden], go one step on, and are
 * also written to `y`. Strides are bytes from sample to sample. `relu`: 1 for ReLU, 0 for tanh.
 */
export function rnn_forward(
  row: usize, rowStride: i32, recurrent: usize, h: usize, y: usize, yStride: i32, samples: i32, hidden: i32, relu: i32,
): void {
  const slot = <usize>hidden << 2, whole = slot & ~15;
  for (let s = 0; s < samples; s++) {
    let j: usize = 0;
    for (; j < whole; j += 16) forward(row + j, recurrent + j, h + j, y + j, slot, relu, true);
    for (; j < slot; j += 4) forward(row + j, recurrent + j, h + j, y + j, slot, relu, false);
    row += rowStride;
    recurrent += slot;
    h += slot;
    y += yStride;
  }
}

@inline
function forward(row: usize, recurrent: usize, h: usize, y: usize, slot: usize, relu: i32, full: bool): void {
  const sum = f32x4.add(load(row, full), load(recurrent, full));
  const state = relu ? f32x4.pmax(sum, f32x4.splat(0)) : tanh(sum);
  store(row, state, full);
  store(row + slot, load(h, full), full);
  store(h, state, full);
  store(y, state, full);
}

/**
 * `row`: what was kept; the states from after the step become the gradients of their sums. `dy`:
 * the gradient of these states, `dh`: what comes back from the next step. `sums`: the gradients of
 * the sums once more, [samples, hidden], for the product that makes the next `dh`.
 */
export function rnn_backward(
  row: usize, rowStride: i32, dy: usize, dyStride: i32, dh: usize, sums: usize, samples: i32, hidden: i32, relu: i32,
): void {
  const slot = <usize>hidden << 2, whole = slot & ~15;
  for (let s = 0; s < samples; s++) {
    let j: usize = 0;
    for (; j < whole; j += 16) backward(row + j, dy + j, dh + j, sums + j, relu, true);
    for (; j < slot; j += 4) backward(row + j, dy + j, dh + j, sums + j, relu, false);
    row += rowStride;
    dy += dyStride;
    dh += slot;
    sums += slot;
  }
}

@inline
function backward(row: usize, dy: usize, dh: usize, sums: usize, relu: i32, full: bool): void {
  const h = load(row, full), one = f32x4.splat(1);
  const slope = relu ? v128.andnot(one, f32x4.le(h, f32x4.splat(0))) : fnma(h, h, one);
  const sum = f32x4.mul(f32x4.add(load(dy, full), load(dh, full)), slope);
  store(row, sum, full);
  store(sums, sum, full);
}
