import { defineLayer } from "../layer.ts";
import { softmaxOptions, softmaxPasses, softmaxShape } from "./runs.ts";

/**
 * The logarithm of softmax, exact also where softmax is nearly 0. Semantics of
 * `torch.nn.LogSoftmax`, but `dim` counts a sample's dimensions, without the batch.
 */
export const log_softmax = defineLayer({
  type: "log_softmax",
  summary: "Turns scores into logarithms of shares that add up to 1.",
  formula: "yᵢ = xᵢ − ln Σⱼ exp(xⱼ)",
  source: "torch.nn.LogSoftmax",
  example: { input: [3, 7] },
  options: softmaxOptions,
  keepsShape: true,
  gives: "log_probabilities",
  needs: { backward: ["output"], gradient: [] },
  shape: softmaxShape,
  create: (kernels, options, place) => softmaxPasses(kernels, options, place, true),
});
