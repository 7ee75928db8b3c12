import type { CellGradient, CellOptions, CellState } from "../recurrent.reference.ts";

/** One unit's step; the sums are of its only gate. */
export function forward(
  [input]: readonly number[],
  [recurrent]: readonly number[],
  _before: CellState,
  { nonlinearity }: CellOptions,
): CellState {
  const sum = input + recurrent;
  return { h: nonlinearity === "relu" ? Math.max(0, sum) : Math.tanh(sum), c: 0 };
}

/** The gradients of what the step read, from that of the state that it made. */
export function backward(
  [input]: readonly number[],
  [recurrent]: readonly number[],
  _before: CellState,
  gradient: CellState,
  { nonlinearity }: CellOptions,
): CellGradient {
  const sum = input + recurrent;
  const slope = nonlinearity === "relu" ? Number(sum > 0) : 1 - Math.tanh(sum) ** 2;
  const sums = [gradient.h * slope];
  return { input: sums, recurrent: sums, before: { h: 0, c: 0 } };
}
