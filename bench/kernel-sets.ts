import { chosenKernels, nativeSets } from "../src/engine/kernels/native.ts";

export type KernelSet = "wasm" | "native";

/** The kernels to measure: both where native ones are built, unless RAPPEL_KERNELS chooses. */
export function kernelSets(): KernelSet[] {
  const choice = chosenKernels();
  if (nativeSets().length === 0) return ["wasm"];
  return choice === "auto" ? ["wasm", "native"] : [choice];
}
