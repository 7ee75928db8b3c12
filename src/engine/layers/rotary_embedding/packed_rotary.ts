import { defineLayer } from "../layer.ts";
import { turns, turnScratch } from "./turns.ts";

/** rotary_embedding of the queries and keys in [time, queries · keys · values]. */
export const packed_rotary = defineLayer({
  type: "packed_rotary",
  summary: "Turns the queries and keys of multihead_attention.",
  formula: "as rotary_embedding",
  source: "",
  internal: true,
  options: {
    base: { kind: "number", doc: "As rotary_embedding's." },
    num_heads: { kind: "integer", doc: "Heads of the attention." },
  },
  needs: { backward: [], gradient: [] },
  inPlace: true,
  shape: ({ num_heads }, [{ shape }]) => {
    return { output: shape, parameters: [], scratch: turnScratch(shape[0], shape[1] / (3 * num_heads)) };
  },
  create(kernels, { base, num_heads }, place) {
    const dim = place.output.shape[1] / (3 * num_heads);
    return turns(kernels, { base, dim, turned: 2 * num_heads }, place);
  },
});
