import type { Kernels } from "../../kernels/kernels.ts";
import type { Layer, LayerPlace, Needs } from "../layer.ts";

/* Layers that give the same numbers in the same order under another shape. */

export const needs: Needs = { backward: [], gradient: [] };

/** Copies what is not in its place already. */
export function createView(kernels: Kernels, { inputs: [input], output }: LayerPlace): Layer {
  const bytes = output.size * 4;
  const copy = (to: number, from: number, begin: number, end: number) => {
    if (to !== from) kernels.copy(to + begin * bytes, from + begin * bytes, (end - begin) * output.size);
  };
  return {
    forward: (_weights, begin, end) => copy(output.address, input.address, begin, end),
    backward: (_weights, begin, end) => copy(input.gradient, output.gradient, begin, end),
  };
}
