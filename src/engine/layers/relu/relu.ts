import { defineElementwise } from "../elementwise.ts";

/** Rectified linear unit. Its derivative at 0 is 0. */
export const relu = defineElementwise({
  type: "relu",
  summary: "Passes positive values and zeroes the others; the usual first choice.",
  formula: "y = max(0, x)",
  source: "torch.nn.ReLU",
  options: {},
  mortal: true,
  derivativeOf: "output",
  bind: (kernels) => ({ forward: kernels.relu_forward, backward: kernels.relu_backward }),
});
