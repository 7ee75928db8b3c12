import { withDefaults } from "../../member/options.ts";
import { defineComposite } from "../layer.ts";
import { linear } from "../linear/linear.ts";

/**
 * The feed-forward part of many transformers: two linear layers of which one decides how much of
 * the other passes, and one that comes back to the input's size.
 *
 * Shazeer, "GLU variants improve transformer", arXiv:2002.05202 (2020).
 */
export const swiglu = defineComposite({
  type: "swiglu",
  summary: "A gated feed-forward layer, as transformers have after attention.",
  formula: "y = W₂ (silu(W₁ x) · W₃ x)",
  source: "Shazeer, arXiv:2002.05202; names as in Llama",
  example: { input: [3, 6], options: { hidden_features: 7 } },
  options: {
    hidden_features: { kind: "integer", min: 1, doc: "Size of the layer in the middle." },
    bias: { kind: "boolean", default: false, doc: "Whether the linear layers add a learned bias." },
  },
  expand({ hidden_features, bias }, [{ shape }]) {
    const part = (name: string, out_features: number) => ({ ...withDefaults(linear), name, out_features, bias });
    return {
      layers: [
        part("w1", hidden_features),
        { ...part("w3", hidden_features), inputs: ["input0"] },
        { type: "gated_silu", name: null, inputs: ["w1", "w3"] },
        part("w2", shape[shape.length - 1]),
      ],
    };
  },
});
