import { defineElementwiseLoss } from "../elementwise.ts";

/** Logistic loss of targets −1 and 1. It does not overflow, whatever the size of the outputs. */
export const soft_margin = defineElementwiseLoss({
  type: "soft_margin",
  summary: "Logistic loss of targets −1 and 1; the outputs are logits.",
  formula: "ln(1 + exp(−y · x))",
  source: "torch.nn.SoftMarginLoss",
  targets: "sign",
  wants: "scores",
  options: {},
  bind:
    (kernels, _options, { outputs }) =>
    (x, y, terms, gradient, samples, scale) =>
      kernels.soft_margin(x, y, terms, gradient, samples * outputs, scale),
});
