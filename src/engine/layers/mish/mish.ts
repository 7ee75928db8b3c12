import { defineElementwise } from "../elementwise.ts";

/** Misra, "Mish: A self regularized non-monotonic activation function", arXiv:1908.08681. */
export const mish = defineElementwise({
  type: "mish",
  summary: "A smooth ReLU that dips a little below zero, much like silu.",
  formula: "y = x · tanh(ln(1 + exp(x)))",
  source: "torch.nn.Mish",
  options: {},
  derivativeOf: "input",
  bind: (kernels) => ({ forward: kernels.mish_forward, backward: kernels.mish_backward }),
});
