import { MAX_DIMENSIONS } from "../../member/shape.ts";
import { defineLayer } from "../layer.ts";
import { rowNorm, rowShapes } from "./rows.ts";

/** ε of float32, which PyTorch takes where `eps` is not given. */
const EPSILON = 2 ** -23;

/**
 * Divides every row, which is the last dimensions of a sample, by the root of its mean square.
 * Semantics of `torch.nn.RMSNorm`.
 *
 * Zhang & Sennrich, "Root mean square layer normalization", NeurIPS 2019 (arXiv:1910.07467).
 */
export const rms_norm = defineLayer({
  type: "rms_norm",
  summary: "Scales each row to a mean square of 1; layer_norm without the mean, and cheaper.",
  formula: "y = x / √(mean(x²) + eps) · weight",
  source: "torch.nn.RMSNorm",
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
    eps: { kind: "number", default: null, above: 0, doc: "Added to the mean square; null: 2⁻²³, float32's own." },
    elementwise_affine: { kind: "boolean", default: true, doc: "Whether to learn a scale of each place." },
  },
  needs: { backward: ["input", "saved"], gradient: ["input", "saved"] },
  shape({ normalized_shape, elementwise_affine }, [{ shape }]) {
    return rowShapes(normalized_shape, shape, elementwise_affine ? ["weight"] : []);
  },
  create(kernels, { normalized_shape, eps }, place) {
    return rowNorm(kernels, { centered: false, eps: eps ?? EPSILON }, normalized_shape!, place);
  },
});
