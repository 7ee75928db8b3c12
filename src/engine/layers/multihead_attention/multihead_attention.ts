import { checkInputSize } from "../input-size.ts";
import { defineComposite, LayerFault, type Part, type Value } from "../layer.ts";
import { withDefaults } from "../../member/options.ts";
import { checkMask } from "../scaled_dot_product_attention/heads.ts";
import { linear } from "../linear/linear.ts";

/** What the parts call the queries, keys and values. */
const PROJECTED = "projected";

/**
 * Attention of several heads between linear layers. One input attends to itself; with the inputs
 * [query, memory] or [query, key, value] one sequence attends to another. Sequences are [time,
 * embed_dim]. A further input of integers, [S] or [T, S], hides the keys where it is 0. Semantics,
 * parameters and initial values of `torch.nn.MultiheadAttention` (batch first).
 *
 * Vaswani et al., "Attention is all you need", NeurIPS 2017 (arXiv:1706.03762).
 */
export const multihead_attention = defineComposite({
  type: "multihead_attention",
  summary: "Lets every position of a sequence look at all others, or at those of another sequence.",
  formula: "y = concat(headᵢ) W_oᵀ + b_o, headᵢ = softmax(qᵢ kᵢᵀ / √d) vᵢ, [q k v] = x W_inᵀ + b_in",
  source: "torch.nn.MultiheadAttention",
  example: { input: [9, 8], options: { num_heads: 2, causal: true } },
  options: {
    embed_dim: {
      kind: "integer",
      default: null,
      min: 1,
      doc: "Size of the input's last dimension; inferred, and checked if it is given.",
    },
    num_heads: { kind: "integer", min: 1, doc: "Heads, which share out the features in equal parts." },
    dropout: { kind: "number", default: 0, min: 0, max: 1, doc: "Probability of zeroing the share of a value." },
    bias: { kind: "boolean", default: true, doc: "Whether the linear layers add a learned bias." },
    causal: { kind: "boolean", default: false, doc: "Whether position t sees the positions 0..t only." },
    rotary_base: {
      kind: "number",
      default: null,
      above: 0,
      tries: [10000],
      doc: "Turns queries and keys by their position, as rotary_embedding with this base; null: does not.",
    },
  },
  mostInputs: 4,
  expand({ embed_dim, num_heads, dropout, bias, causal, rotary_base }, inputs) {
    const mask = inputs.length > 1 && inputs[inputs.length - 1].type === "int32" ? inputs.length - 1 : null;
    const sequences = mask === null ? inputs : inputs.slice(0, mask);
    const [queries, width] = sequences[0].shape;
    checkSequences(sequences, embed_dim);
    if (width % num_heads !== 0)
      throw new LayerFault("num_heads", `is ${num_heads}, which does not divide the ${width} features`);
    if (mask !== null) checkMask(inputs[mask], queries, sequences[sequences.length - 1].shape[0]);
    const positions = sequences.map(({ shape }) => shape[0]);
    const attended = mask === null ? [PROJECTED] : [PROJECTED, `input${mask}`];
    const parts: Part[] = [
      { type: "in_projection", name: null, label: PROJECTED, bias, inputs: sequences.map((_, i) => `input${i}`) },
      ...(rotary_base === null ? [] : [rotary(rotary_base, num_heads, sequences)]),
      {
        type: "packed_attention",
        name: null,
        num_heads,
        dropout,
        causal,
        sequences: positions,
        features: width,
        inputs: attended,
      },
      { ...withDefaults(linear), name: "out_proj", out_features: width, bias, bias_init: "zeros" },
    ];
    return { layers: parts, inferred: { embed_dim: width } };
  },
});

function rotary(base: number, num_heads: number, sequences: readonly Value[]): Part {
  if (sequences.length === 1 && (sequences[0].shape[1] / num_heads) % 2 === 0)
    return { type: "packed_rotary", name: null, label: PROJECTED, base, num_heads };
  const message = "needs a sequence that attends to itself, with an even number of features in a head; leave it out";
  throw new LayerFault("rotary_base", message);
}

function checkSequences(sequences: readonly Value[], given: number | null): void {
  const shapes = sequences.map(({ shape }) => `[${shape.join(", ")}]`).join(", ");
  const [, width] = sequences[0].shape;
  if (sequences.length > 3) {
    const message = `needs one to three sequences and perhaps a mask of integers, but has ${shapes}`;
    throw new LayerFault("inputs", message);
  }
  if (sequences.some(({ shape, type }) => shape.length !== 2 || shape[1] !== width || type !== "float32"))
    throw new LayerFault(null, `takes sequences [time, features] of equally many features, but its input is ${shapes}`);
  if (sequences.length === 3 && sequences[1].shape[0] !== sequences[2].shape[0])
    throw new LayerFault(null, `takes as many values as keys, but its inputs are ${shapes}`);
  checkInputSize("embed_dim", given, sequences[0].shape, -1);
}
