import { size } from "../../member/shape.ts";
import { defineLayer, LayerFault } from "../layer.ts";
import { turns, turnScratch } from "./turns.ts";

/**
 * Turns pairs of numbers by an angle that grows with the position in time, so that products of
 * queries and keys depend on how far apart they are. The pairs of a head are the elements of its
 * first half with those of its second. A sample is [time, …, features]; each `dim` features in a
 * row are a head. multihead_attention does it to its queries and keys with `rotary_base`.
 *
 * Su et al., "RoFormer: enhanced transformer with rotary position embedding", arXiv:2104.09864.
 */
export const rotary_embedding = defineLayer({
  type: "rotary_embedding",
  summary: "Turns pairs of features by angles that grow with the position in a sequence.",
  formula: "(p, q) → (p cos a − q sin a, q cos a + p sin a), a = t · base^(−2i/dim)",
  source: "Su et al., equation 34; pairs as in GPT-NeoX and Llama",
  example: { input: [5, 2, 6] },
  options: {
    base: { kind: "number", default: 10000, above: 0, doc: "The ratio of the slowest wave to the fastest one." },
    dim: {
      kind: "integer",
      default: null,
      min: 2,
      doc: "Features of a head, an even number; inferred as all of the last dimension.",
    },
  },
  needs: { backward: [], gradient: [] },
  inPlace: true,
  shape({ dim }, [{ shape }]) {
    const last = shape[shape.length - 1];
    const head = dim ?? last;
    if (shape.length < 2)
      throw new LayerFault(null, `takes sequences [time, …, features], but its input is ${shape.join(" × ")}`);
    if (head % 2 !== 0 || last % head !== 0)
      throw new LayerFault("dim", `is ${head}, which must be even and divide the ${last} features`);
    return { output: shape, parameters: [], scratch: turnScratch(shape[0], head), inferred: { dim: head } };
  },
  create(kernels, { base, dim }, place) {
    const turned = size(place.output.shape.slice(1)) / dim!;
    return turns(kernels, { base, dim: dim!, turned }, place);
  },
});
