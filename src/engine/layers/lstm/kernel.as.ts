// One time step of an LSTM, and the same step backward through time (../recurrent.ts has the
// whole).
//
// A sample's row of the step holds, `hidden` floats each: the gates i, f, g and o, the cells and
// the states from before the step. The step's cells are not kept: i g + f c gives the same bits
// again.
import { sigmoid, tanh } from "../../kernels/math.as";
import { fma, fnma, load, store } from "../../kernels/vector.as";

/**
 * `row`: the gates' share of the input, x·Wᵀ + b, becomes what is kept. `recurrent`: their share of
 * the states, [samples, 4 hidden]. `h`, `c`: states and cells, [samples, hidden], go one step on.
 * The states are also written to `y`, and the cells to `cells` unless it is 0. Strides are bytes
 * from sample to sample.
 */
export function lstm_forward(
  row: usize, rowStride: i32, recurrent: usize, h: usize, c: usize, y: usize, cells: usize, yStride: i32,
  samples: i32, hidden: i32,
): void {
  const slot = <usize>hidden << 2, whole = slot & ~15;
  for (let s = 0; s < samples; s++) {
    let j: usize = 0;
    for (; j < whole; j += 16) forward(row + j, recurrent + j, h + j, c + j, y + j, cells == 0 ? 0 : cells + j, slot, true);
    for (; j < slot; j += 4) forward(row + j, recurrent + j, h + j, c + j, y + j, cells == 0 ? 0 : cells + j, slot, false);
    row += rowStride;
    recurrent += 4 * slot;
    h += slot;
    c += slot;
    y += yStride;
    if (cells != 0) cells += yStride;
  }
}

@inline
function forward(
  row: usize, recurrent: usize, h: usize, c: usize, y: usize, cells: usize, slot: usize, full: bool,
): void {
  const i = sigmoid(f32x4.add(load(row, full), load(recurrent, full)));
  const f = sigmoid(f32x4.add(load(row + slot, full), load(recurrent + slot, full)));
  const g = tanh(f32x4.add(load(row + 2 * slot, full), load(recurrent + 2 * slot, full)));
  const o = sigmoid(f32x4.add(load(row + 3 * slot, full), load(recurrent + 3 * slot, full)));
  const before = load(c, full);
  const cell = cellOf(i, f, g, before);
  const state = f32x4.mul(o, tanh(cell));
  store(row, i, full);
  store(row + slot, f, full);
  store(row + 2 * slot, g, full);
  store(row + 3 * slot, o, full);
  store(row + 4 * slot, before, full);
  store(row + 5 * slot, load(h, full), full);
  store(c, cell, full);
  store(h, state, full);
  store(y, state, full);
  if (cells != 0) store(cells, cell, full);
}

@inline
function cellOf(i: v128, f: v128, g: v128, before: v128): v128 {
  return fma(i, g, f32x4.mul(f, before));
}

/**
 * `row`: what was kept; its gates become the gradients of their sums. `dy`: the gradient of the
 * step's states, and `dCells` that of its cells unless it is 0. `dh`, `dc`: what comes back from
 * the next step; `dc` goes one step back. `gates`: the gradients of the sums once more, [samples, 4
 * hidden], for the product that makes the next `dh`.
 */
export function lstm_backward(
  row: usize, rowStride: i32, dy: usize, dCells: usize, dyStride: i32, dh: usize, dc: usize, gates: usize,
  samples: i32, hidden: i32,
): void {
  const slot = <usize>hidden << 2, whole = slot & ~15;
  for (let s = 0; s < samples; s++) {
    let j: usize = 0;
    for (; j < whole; j += 16) backward(row + j, dy + j, dCells == 0 ? 0 : dCells + j, dh + j, dc + j, gates + j, slot, true);
    for (; j < slot; j += 4) backward(row + j, dy + j, dCells == 0 ? 0 : dCells + j, dh + j, dc + j, gates + j, slot, false);
    row += rowStride;
    dy += dyStride;
    if (dCells != 0) dCells += dyStride;
    dh += slot;
    dc += slot;
    gates += 4 * slot;
  }
}

@inline
function backward(
  row: usize, dy: usize, dCells: usize, dh: usize, dc: usize, gates: usize, slot: usize, full: bool,
): void {
  const i = load(row, full), f = load(row + slot, full), g = load(row + 2 * slot, full), o = load(row + 3 * slot, full);
  const before = load(row + 4 * slot, full);
  const t = tanh(cellOf(i, f, g, before));
  const state = f32x4.add(load(dy, full), load(dh, full));
  let cell = fma(f32x4.mul(state, o), fnma(t, t, f32x4.splat(1)), load(dc, full));
  if (dCells != 0) cell = f32x4.add(cell, load(dCells, full));
  const di = f32x4.mul(f32x4.mul(cell, g), logistic(i));
  const df = f32x4.mul(f32x4.mul(cell, before), logistic(f));
  const dg = f32x4.mul(f32x4.mul(cell, i), fnma(g, g, f32x4.splat(1)));
  const dout = f32x4.mul(f32x4.mul(state, t), logistic(o));
  store(dc, f32x4.mul(cell, f), full);
  put(row, gates, di, full);
  put(row + slot, gates + slot, df, full);
  put(row + 2 * slot, gates + 2 * slot, dg, full);
  put(row + 3 * slot, gates + 3 * slot, dout, full);
}

/** The derivative of the sigmoid, from its value. */
@inline
function logistic(s: v128): v128 {
  return fnma(s, s, s);
}

@inline
function put(row: usize, gates: usize, value: v128, full: bool): void {
  store(row, value, full);
  store(gates, value, full);
}
