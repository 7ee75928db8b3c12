import { defineElementwise } from "../elementwise.ts";

/** The logistic function. */
export const sigmoid = defineElementwise({
  type: "sigmoid",
  summary: "Squashes values into 0..1.",
  formula: "y = 1 / (1 + exp(−x))",
  source: "torch.nn.Sigmoid",
  options: {},
  saturates: true,
  gives: "probabilities",
  derivativeOf: "output",
  bind: (kernels) => ({ forward: kernels.sigmoid_forward, backward: kernels.sigmoid_backward }),
});
