import { size } from "../../member/shape.ts";
import { defineLayer, LayerFault, type ValuePlace } from "../layer.ts";
import { ATTENTION_SCRATCH_BYTES, attention, checkMask, maskPlace, type HeadsPlace } from "./heads.ts";

/**
 * Attention alone, without anything learned, of the inputs [queries, keys, values] or [queries,
 * keys, values, mask]: y = softmax(scale q kᵀ) v. Queries are […, T, D], keys […, S, D], values […,
 * S, E]. The mask is of integers, [S] or [T, S]: a query sees the keys where it is not 0. A query
 * that sees none has the output 0. Semantics of `torch.nn.functional.scaled_dot_product_attention`.
 *
 * The matrix of scores never exists: kernel.as.ts.
 */
export const scaled_dot_product_attention = defineLayer({
  type: "scaled_dot_product_attention",
  summary: "Means of values, weighted by how well their keys fit a query; nothing is learned.",
  formula: "y = softmax(scale · q kᵀ) v",
  source: "torch.nn.functional.scaled_dot_product_attention",
  example: { input: [2, 5, 6], options: { inputs: ["x", "x", "x"] } },
  options: {
    dropout_p: { kind: "number", default: 0, min: 0, max: 1, doc: "Probability of zeroing the share of a value." },
    is_causal: { kind: "boolean", default: false, doc: "Whether query t sees the keys 0..t only." },
    scale: { kind: "number", default: null, doc: "Factor of the scores; null: 1/√D." },
  },
  mostInputs: 4,
  takes: ["float32", "float32", "float32", "int32"],
  random: ({ dropout_p }) => dropout_p > 0,
  shape(_options, inputs) {
    if (inputs.length < 3 || inputs.length > 4)
      throw new LayerFault("inputs", `needs three or four (queries, keys, values, mask), but has ${inputs.length}`);
    const [q, k, v, mask] = inputs;
    const shapes = inputs.map(({ shape }) => `[${shape.join(", ")}]`).join(", ");
    const fits = (one: readonly number[], other: readonly number[]) => String(one) === String(other);
    const [queries, width] = q.shape.slice(-2);
    const heads = q.shape.slice(0, -2);
    const [keys] = k.shape.slice(-2);
    if (!fits(k.shape, [...heads, keys, width]) || !fits(v.shape.slice(0, -1), [...heads, keys]) || q.shape.length < 2)
      throw new LayerFault(null, `takes […, T, D], […, S, D] and […, S, E], but its inputs are ${shapes}`);
    if (mask !== undefined) checkMask(mask, queries, keys);
    return {
      output: [...q.shape.slice(0, -1), v.shape[v.shape.length - 1]],
      parameters: [],
      saved: size(heads) * queries,
      scratch: ATTENTION_SCRATCH_BYTES,
    };
  },
  create(kernels, { dropout_p: p, is_causal: causal, scale }, { inputs, output, saved, scratch, stream }) {
    const [q, k, v, mask] = inputs;
    const [queries, width] = q.shape.slice(-2);
    const [keys, valueSize] = v.shape.slice(-2);
    const how = { size: width, valueSize, scale: scale ?? 1 / Math.sqrt(width), causal, dropout: { p, stream } };
    const places = { q: headsOf(q), k: headsOf(k), v: headsOf(v), y: headsOf(output) };
    const heads = size(q.shape.slice(0, -2));
    const masked = mask === undefined ? null : maskPlace(mask);
    return attention(kernels, { ...places, ...how, heads, queries, keys, mask: masked }, saved, scratch);
  },
});

/** Heads that lie one behind the other. */
function headsOf({ address, gradient, shape, size: sample }: ValuePlace): HeadsPlace {
  const [positions, width] = shape.slice(-2);
  return { address, gradient, sample: sample * 4, head: positions * width * 4, row: width * 4 };
}
