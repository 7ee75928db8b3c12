import { defineElementwise } from "../elementwise.ts";

/** Hyperbolic tangent. */
export const tanh = defineElementwise({
  type: "tanh",
  summary: "Squashes values into −1..1.",
  formula: "y = tanh(x)",
  source: "torch.nn.Tanh",
  options: {},
  saturates: true,
  derivativeOf: "output",
  bind: (kernels) => ({ forward: kernels.tanh_forward, backward: kernels.tanh_backward }),
});
