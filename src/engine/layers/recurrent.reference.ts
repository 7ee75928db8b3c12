/** A unit's state, and its cell where the layer has cells (else 0); or the gradients of both. */
export interface CellState {
  readonly h: number;
  readonly c: number;
}

export interface CellGradient {
  /** Of the gates' sums over the input, and of those over the states. */
  readonly input: readonly number[];
  readonly recurrent: readonly number[];
  /** Of the state and the cell from before the step, past the sums. */
  readonly before: CellState;
}

export interface CellOptions {
  readonly nonlinearity?: string;
}

/** What a kind of recurrent layer makes of the sums of one unit's gates (its reference.ts). */
export interface CellReference {
  forward(input: readonly number[], recurrent: readonly number[], before: CellState, options: CellOptions): CellState;
  backward(
    input: readonly number[],
    recurrent: readonly number[],
    before: CellState,
    gradient: CellState,
    options: CellOptions,
  ): CellGradient;
}

type Matrix = readonly (readonly number[])[];

/** Rows of weights and biases: all units of the first gate, then all of the second, and so on. */
export interface Weights {
  readonly ih: Matrix;
  readonly hh: Matrix;
  readonly biasIh: readonly number[];
  readonly biasHh: readonly number[];
}

export interface Sequence {
  /** [time, features] */
  readonly x: Matrix;
  readonly h0: readonly number[];
  readonly c0: readonly number[];
  readonly reverse: boolean;
}

/** Gradients of everything that a pass reads. */
export interface PassGradients {
  readonly x: number[][];
  readonly h0: number[];
  readonly c0: number[];
  readonly ih: number[][];
  readonly hh: number[][];
  readonly biasIh: number[];
  readonly biasHh: number[];
}

/** A pass over one sequence as PyTorch defines it: the states and the cells after every step. */
export function forward(
  cell: CellReference,
  sequence: Sequence,
  weights: Weights,
  options: CellOptions,
): { h: number[][]; c: number[][] } {
  const { x, h0, c0 } = sequence;
  const [h, c]: number[][][] = [[], []];
  let before = { h: h0, c: c0 };
  for (const t of order(sequence)) {
    const input = sums(weights.ih, weights.biasIh, x[t]);
    const recurrent = sums(weights.hh, weights.biasHh, before.h);
    const after = h0.map((_, unit) =>
      cell.forward(gates(input, unit, h0), gates(recurrent, unit, h0), stateOf(before, unit), options),
    );
    before = { h: after.map((state) => state.h), c: after.map((state) => state.c) };
    h[t] = [...before.h];
    c[t] = [...before.c];
  }
  return { h, c };
}

/** Backward through time, from the gradients of the states and cells after every step. */
export function backward(
  cell: CellReference,
  sequence: Sequence,
  weights: Weights,
  gradient: { readonly h: Matrix; readonly c: Matrix },
  options: CellOptions,
): PassGradients {
  const { x, h0, c0 } = sequence;
  const { h, c } = forward(cell, sequence, weights, options);
  const zeros = (matrix: Matrix) => matrix.map((row) => row.map(() => 0));
  const result = {
    x: zeros(x),
    ih: zeros(weights.ih),
    hh: zeros(weights.hh),
    biasIh: weights.ih.map(() => 0),
    biasHh: weights.ih.map(() => 0),
  };
  let after = { h: h0.map(() => 0), c: h0.map(() => 0) };
  const times = order(sequence);
  for (let i = times.length - 1; i >= 0; i--) {
    const t = times[i];
    const before = i === 0 ? { h: h0, c: c0 } : { h: h[times[i - 1]], c: c[times[i - 1]] };
    const input = sums(weights.ih, weights.biasIh, x[t]);
    const recurrent = sums(weights.hh, weights.biasHh, before.h);
    const units = h0.map((_, unit) => {
      const wanted = { h: after.h[unit] + gradient.h[t][unit], c: after.c[unit] + gradient.c[t][unit] };
      const state = stateOf(before, unit);
      return cell.backward(gates(input, unit, h0), gates(recurrent, unit, h0), state, wanted, options);
    });
    after = { h: units.map((unit) => unit.before.h), c: units.map((unit) => unit.before.c) };
    units.forEach((unit, j) => {
      unit.input.forEach((sum, gate) => {
        const row = gate * h0.length + j;
        spread(sum, weights.ih[row], x[t], result.x[t], result.ih[row]);
        spread(unit.recurrent[gate], weights.hh[row], before.h, after.h, result.hh[row]);
        result.biasIh[row] += sum;
        result.biasHh[row] += unit.recurrent[gate];
      });
    });
  }
  return { ...result, h0: after.h, c0: after.c };
}

/** The times in the order in which the pass comes by. */
function order({ x, reverse }: Sequence): number[] {
  const times = x.map((_, t) => t);
  return reverse ? times.reverse() : times;
}

/** W·x + b */
function sums(weight: Matrix, bias: readonly number[], x: readonly number[]): number[] {
  return weight.map((row, i) => row.reduce((sum, w, j) => sum + w * x[j], bias[i]));
}

/** Hands the gradient of one sum on to what it multiplied. */
function spread(sum: number, row: readonly number[], x: readonly number[], dx: number[], dRow: number[]): void {
  row.forEach((w, j) => {
    dx[j] += sum * w;
    dRow[j] += sum * x[j];
  });
}

const gates = (sums: readonly number[], unit: number, states: readonly number[]): number[] =>
  sums.filter((_, row) => row % states.length === unit);

const stateOf = ({ h, c }: { h: readonly number[]; c: readonly number[] }, unit: number): CellState => ({
  h: h[unit],
  c: c[unit],
});
