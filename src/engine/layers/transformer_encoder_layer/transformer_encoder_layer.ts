import { withDefaults } from "../../member/options.ts";
import { dropout as dropoutLayer } from "../dropout/dropout.ts";
import { gelu } from "../gelu/gelu.ts";
import { checkInputSize } from "../input-size.ts";
import { layer_norm } from "../layer_norm/layer_norm.ts";
import { defineComposite, LayerFault, type Part } from "../layer.ts";
import { linear } from "../linear/linear.ts";
import { multihead_attention } from "../multihead_attention/multihead_attention.ts";
import { relu } from "../relu/relu.ts";

/**
 * A block of a transformer: attention of a sequence [time, features] to itself, and a feed-forward
 * network for each position, each with a shortcut and a layer_norm. `causal` makes it a block of a
 * language model. A second input of integers hides the positions where it is 0. Semantics,
 * parameters and initial values of `torch.nn.TransformerEncoderLayer` (batch first); with swiglu,
 * the further linear3 makes what linear1 lets through.
 *
 * Vaswani et al., "Attention is all you need", NeurIPS 2017 (arXiv:1706.03762); `norm_first`: Xiong
 * et al., "On layer normalization in the transformer architecture", arXiv:2002.04745.
 */
export const transformer_encoder_layer = defineComposite({
  type: "transformer_encoder_layer",
  summary: "A block of a transformer: attention and a feed-forward network, each with a shortcut.",
  formula: "x = norm1(x + attention(x)), y = norm2(x + linear2(f(linear1(x)))); norm_first: x + attention(norm1(x)), …",
  source: "torch.nn.TransformerEncoderLayer",
  example: { input: [5, 8], options: { nhead: 2, dim_feedforward: 12, norm_first: true } },
  options: {
    d_model: {
      kind: "integer",
      default: null,
      min: 1,
      doc: "Size of the input's last dimension; inferred, and checked if it is given.",
    },
    nhead: { kind: "integer", min: 1, doc: "Heads of the attention, which share out the features in equal parts." },
    dim_feedforward: { kind: "integer", default: 2048, min: 1, doc: "Size of the layer in the feed-forward network." },
    dropout: { kind: "number", default: 0.1, min: 0, max: 1, doc: "Probability of every dropout in it." },
    activation: {
      kind: "choice",
      choices: ["relu", "gelu", "swiglu"],
      default: "relu",
      doc: "The function of the feed-forward network; swiglu lets one linear layer decide what passes of another.",
    },
    layer_norm_eps: { kind: "number", default: 1e-5, above: 0, doc: "The eps of both norms." },
    norm_first: { kind: "boolean", default: false, doc: "Whether the norms stand before attention and network." },
    bias: { kind: "boolean", default: true, doc: "Whether linear layers and norms add a learned bias." },
    causal: { kind: "boolean", default: false, doc: "Whether position t sees the positions 0..t only." },
    rotary_base: {
      kind: "number",
      default: null,
      above: 0,
      doc: "Turns queries and keys by their position, as rotary_embedding with this base; null: does not.",
    },
  },
  mostInputs: 2,
  expand(options, inputs) {
    const { d_model, nhead, dropout, layer_norm_eps, norm_first, bias, causal, rotary_base } = options;
    const [{ shape }, mask] = inputs;
    const features = shape[shape.length - 1];
    checkInputSize("d_model", d_model, shape, -1);
    if (mask !== undefined && mask.type !== "int32")
      throw new LayerFault("inputs/1", `must be a mask of integers, but is ${mask.type}`);
    if (features % nhead !== 0)
      throw new LayerFault("nhead", `is ${nhead}, which does not divide the ${features} features`);
    const drop = (name: string): Part[] => (dropout === 0 ? [] : [{ ...withDefaults(dropoutLayer), name, p: dropout }]);
    const norm = (name: string): Part => ({ ...withDefaults(layer_norm), name, eps: layer_norm_eps, bias });
    const heads = { num_heads: nhead, dropout, bias, causal, rotary_base };
    const attention: Part = {
      ...withDefaults(multihead_attention),
      name: "self_attn",
      ...heads,
      ...(mask === undefined ? {} : { inputs: [norm_first ? "norm1" : "input0", "input1"] }),
    };
    const parts = [
      { norm: norm("norm1"), layers: [attention, ...drop("dropout1")] },
      { norm: norm("norm2"), layers: [...network(options, features, drop), ...drop("dropout2")] },
    ];
    const layers = parts.flatMap(({ norm, layers }): Part[] =>
      norm_first
        ? [{ type: "residual", name: null, layers: [norm, ...layers] }]
        : [{ type: "residual", name: null, layers }, norm],
    );
    return { layers, inferred: { d_model: features } };
  },
});

/** The feed-forward network as far as linear2. */
function network(
  options: {
    readonly dim_feedforward: number;
    readonly activation: string;
    readonly bias: boolean;
    readonly norm_first: boolean;
  },
  features: number,
  drop: (name: string) => Part[],
): Part[] {
  const { dim_feedforward, activation, bias, norm_first } = options;
  const full = (name: string, out_features: number): Part => ({ ...withDefaults(linear), name, out_features, bias });
  const functions: Record<string, Part[]> = {
    relu: [{ ...withDefaults(relu), name: "activation" }],
    gelu: [{ ...withDefaults(gelu), name: "activation" }],
    swiglu: [
      { ...full("linear3", dim_feedforward), inputs: [norm_first ? "norm2" : "norm1"] },
      { type: "gated_silu", name: "activation", inputs: ["linear1", "linear3"] },
    ],
  };
  return [full("linear1", dim_feedforward), ...functions[activation], ...drop("dropout"), full("linear2", features)];
}
