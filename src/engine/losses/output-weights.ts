import type { Kernels } from "../kernels/kernels.ts";
import { LossFault } from "./loss.ts";

/**
 * Options of losses that are one number for each output, or one for all of them. Where a target has
 * several dimensions, they are those of its last one, as in PyTorch.
 */

export const weightOption = {
  kind: "numbers",
  length: null,
  default: null,
  min: 0,
  tries: [[3]],
  doc: "Weight of each output, or one weight for all.",
} as const;

/** @throws LossFault where a list has neither one number nor one for each output */
export function checkOutputWeights(options: Readonly<Record<string, unknown>>, outputs: number): void {
  for (const option of ["pos_weight", "weight"]) {
    const length = (options[option] as readonly number[] | null | undefined)?.length ?? 1;
    if (length === 1 || length === outputs) continue;
    throw new LossFault(option, `has ${length} numbers: give one, or one for each of the ${outputs} outputs`);
  }
}

/** Writes the weight of each of `outputs` values; 1 if none are given. */
export function outputWeights(
  kernels: Kernels,
  address: number,
  weights: readonly number[] | null,
  outputs: number,
): void {
  for (let i = 0; i < outputs; i++)
    kernels.f32[(address >>> 2) + i] = weights === null ? 1 : weights[i % weights.length];
}
