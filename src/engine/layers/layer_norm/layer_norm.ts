import { MAX_DIMENSIONS } from "../../member/shape.ts";
import { defineLayer } from "../layer.ts";
import { rowNorm, rowShapes } from "./rows.ts";

/**
 * Brings every row, which is the last dimensions of a sample, to mean 0 and variance 1, and then to
 * a learned scale and shift of each place. Semantics of `torch.nn.LayerNorm`: the variance is the
 * biased one, and `eps` stands inside the root.
 *
 * Ba, Kiros & Hinton, "Layer normalization", arXiv:1607.06450 (2016).
 */
export const layer_norm = defineLayer({
  type: "layer_norm",
  summary: "Normalizes each row by its own mean and variance; usual in transformers.",
  formula: "y = (x − mean(x)) / √(var(x) + eps) · weight + bias",
  source: "torch.nn.LayerNorm",
  example: { input: [4, 7] },
  options: {
    normalized_shape: {
      kind: "integers",
      length: null,
      most: MAX_DIMENSIONS,
      default: null,
      min: 1,
      doc: "The last dimensions of a sample, which are normalized together; inferred as the last one alone.",
    },
    eps: { kind: "number", default: 1e-5, above: 0, doc: "Added to the variance, inside the root." },
    elementwise_affine: { kind: "boolean", default: true, doc: "Whether to learn a scale of each place." },
    bias: { kind: "boolean", default: true, doc: "Whether to learn a shift too." },
  },
  needs: { backward: ["input", "saved"], gradient: ["input", "saved"] },
  shape({ normalized_shape, elementwise_affine, bias }, [{ shape }]) {
    return rowShapes(normalized_shape, shape, !elementwise_affine ? [] : bias ? ["weight", "bias"] : ["weight"]);
  },
  create(kernels, { normalized_shape, eps }, place) {
    return rowNorm(kernels, { centered: true, eps }, normalized_shape!, place);
  },
});
