// One time step of a GRU, and the same step backward through time (../recurrent.ts has the whole).
//
// A sample's row of the step holds, `hidden` floats each: the gates r, z and n, the states' share
// of n (which r multiplies), and the states from before the step.
import { sigmoid, tanh } from "../../kernels/math.as";
import { fma, fnma, load, store } from "../../kernels/vector.as";

/**
 * `row`: the gates' share of the input, x·Wᵀ + b, becomes what is kept. `recurrent`: their share of
 * the states, [samples, 3 hidden]. `h`: the states, [samples, hidden], go one step on, and are also
 * written to `y`. Strides are bytes from sample to sample.
 */
export function gru_forward(
  row: usize, rowStride: i32, recurrent: usize, h: usize, y: usize, yStride: i32, samples: i32, hidden: i32,
): void {
  const slot = <usize>hidden << 2, whole = slot & ~15;
  for (let s = 0; s < samples; s++) {
    let j: usize = 0;
    for (; j < whole; j += 16) forward(row + j, recurrent + j, h + j, y + j, slot, true);
    for (; j < slot; j += 4) forward(row + j, recurrent + j, h + j, y + j, slot, false);
    row += rowStride;
    recurrent += 3 * slot;
    h += slot;
    y += yStride;
  }
}

@inline
function forward(row: usize, recurrent: usize, h: usize, y: usize, slot: usize, full: bool): void {
  const r = sigmoid(f32x4.add(load(row, full), load(recurrent, full)));
  const z = sigmoid(f32x4.add(load(row + slot, full), load(recurrent + slot, full)));
  const share = load(recurrent + 2 * slot, full);
  const n = tanh(fma(r, share, load(row + 2 * slot, full)));
  const before = load(h, full);
  const state = fma(z, f32x4.sub(before, n), n);
  store(row, r, full);
  store(row + slot, z, full);
  store(row + 2 * slot, n, full);
  store(row + 3 * slot, share, full);
  store(row + 4 * slot, before, full);
  store(h, state, full);
  store(y, state, full);
}

/**
 * `row`: what was kept; its gates and the states' share become the gradients of their sums. `dy`:
 * the gradient of the step's states. `dh` and `direct`: what comes back from the next step by its
 * gates, and past them; `direct` goes one step back. `gates`: the gradients of the states' shares,
 * [samples, 3 hidden], for the product that makes the next `dh`.
 */
export function gru_backward(
  row: usize, rowStride: i32, dy: usize, dyStride: i32, dh: usize, direct: usize, gates: usize,
  samples: i32, hidden: i32,
): void {
  const slot = <usize>hidden << 2, whole = slot & ~15;
  for (let s = 0; s < samples; s++) {
    let j: usize = 0;
    for (; j < whole; j += 16) backward(row + j, dy + j, dh + j, direct + j, gates + j, slot, true);
    for (; j < slot; j += 4) backward(row + j, dy + j, dh + j, direct + j, gates + j, slot, false);
    row += rowStride;
    dy += dyStride;
    dh += slot;
    direct += slot;
    gates += 3 * slot;
  }
}

@inline
function backward(row: usize, dy: usize, dh: usize, direct: usize, gates: usize, slot: usize, full: bool): void {
  const r = load(row, full), z = load(row + slot, full), n = load(row + 2 * slot, full);
  const share = load(row + 3 * slot, full), before = load(row + 4 * slot, full);
  const state = f32x4.add(f32x4.add(load(dy, full), load(dh, full)), load(direct, full));
  const dz = f32x4.mul(f32x4.mul(state, f32x4.sub(before, n)), fnma(z, z, z));
  const dn = f32x4.mul(fnma(state, z, state), fnma(n, n, f32x4.splat(1)));
  const dr = f32x4.mul(f32x4.mul(dn, share), fnma(r, r, r));
  const dShare = f32x4.mul(dn, r);
  store(direct, f32x4.mul(state, z), full);
  store(row, dr, full);
  store(row + slot, dz, full);
  store(row + 2 * slot, dn, full);
  store(row + 3 * slot, dShare, full);
  store(gates, dr, full);
  store(gates + slot, dz, full);
  store(gates + 2 * slot, dShare, full);
}
