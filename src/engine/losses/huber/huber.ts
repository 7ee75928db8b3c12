import { defineElementwiseLoss } from "../elementwise.ts";

/**
 * Squared error near the target, absolute error beyond `delta`.
 *
 * Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics 35 (1964).
 */
export const huber = defineElementwiseLoss({
  type: "huber",
  summary:
    "Squared error for small differences and absolute error for large ones: smooth, and robust against outliers.",
  formula: "(x − y)² / 2 if |x − y| ≤ delta else delta · (|x − y| − delta / 2)",
  source: "torch.nn.HuberLoss",
  options: {
    delta: {
      kind: "number",
      default: 1,
      above: 0,
      tries: [0.75],
      doc: "Difference up to which the error is squared; beyond it the error is absolute.",
    },
  },
  bind:
    (kernels, { delta }, { outputs }) =>
    (x, y, terms, gradient, samples, scale) =>
      kernels.huber(x, y, terms, gradient, samples * outputs, scale, delta),
});
