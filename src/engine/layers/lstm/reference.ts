import type { CellGradient, CellState } from "../recurrent.reference.ts";

/** One unit's step; the sums are of its gates i, f, g and o. */
export function forward(input: readonly number[], recurrent: readonly number[], before: CellState): CellState {
  const { i, f, g, o } = gates(input, recurrent);
  const c = f * before.c + i * g;
  return { h: o * Math.tanh(c), c };
}

/** The gradients of what the step read, from those of the state and the cell that it made. */
export function backward(
  input: readonly number[],
  recurrent: readonly number[],
  before: CellState,
  gradient: CellState,
): CellGradient {
  const { i, f, g, o } = gates(input, recurrent);
  const t = Math.tanh(f * before.c + i * g);
  const c = gradient.c + gradient.h * o * (1 - t * t);
  const sums = [c * g * i * (1 - i), c * before.c * f * (1 - f), c * i * (1 - g * g), gradient.h * t * o * (1 - o)];
  return { input: sums, recurrent: sums, before: { h: 0, c: c * f } };
}

function gates(input: readonly number[], recurrent: readonly number[]): Record<"i" | "f" | "g" | "o", number> {
  const [i, f, g, o] = input.map((sum, gate) => sum + recurrent[gate]);
  return { i: sigmoid(i), f: sigmoid(f), g: Math.tanh(g), o: sigmoid(o) };
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
