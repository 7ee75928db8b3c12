import type { CellGradient, CellState } from "../recurrent.reference.ts";

/** One unit's step; the sums are of its gates r, z and n. */
export function forward(input: readonly number[], recurrent: readonly number[], before: CellState): CellState {
  const { z, n } = gates(input, recurrent);
  return { h: (1 - z) * n + z * before.h, c: 0 };
}

/** The gradients of what the step read, from that of the state that it made. */
export function backward(
  input: readonly number[],
  recurrent: readonly number[],
  before: CellState,
  gradient: CellState,
): CellGradient {
  const { r, z, n } = gates(input, recurrent);
  const dn = gradient.h * (1 - z) * (1 - n * n);
  const dr = dn * recurrent[2] * r * (1 - r);
  const dz = gradient.h * (before.h - n) * z * (1 - z);
  return { input: [dr, dz, dn], recurrent: [dr, dz, dn * r], before: { h: gradient.h * z, c: 0 } };
}

function gates(input: readonly number[], recurrent: readonly number[]): Record<"r" | "z" | "n", number> {
  const r = sigmoid(input[0] + recurrent[0]);
  const z = sigmoid(input[1] + recurrent[1]);
  return { r, z, n: Math.tanh(input[2] + r * recurrent[2]) };
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
