import { defineLayer } from "../layer.ts";
import { softmaxOptions, softmaxPasses, softmaxShape } from "./runs.ts";

/**
 * Positive numbers that add up to 1 along a dimension. Semantics of `torch.nn.Softmax`, but `dim`
 * counts a sample's dimensions, without the batch. Not for the last layer before cross_entropy,
 * which takes scores.
 */
export const softmax = defineLayer({
  type: "softmax",
  summary: "Turns scores into shares that add up to 1.",
  formula: "yᵢ = exp(xᵢ) / Σⱼ exp(xⱼ)",
  source: "torch.nn.Softmax",
  example: { input: [3, 7] },
  options: softmaxOptions,
  keepsShape: true,
  gives: "probabilities",
  needs: { backward: ["output"], gradient: [] },
  shape: softmaxShape,
  create: (kernels, options, place) => softmaxPasses(kernels, options, place, false),
});
