import { defineElementwise } from "../elementwise.ts";

/**
 * Sigmoid linear unit, also called swish.
 *
 * Ramachandran, Zoph, Le, "Searching for activation functions", arXiv:1710.05941.
 */
export const silu = defineElementwise({
  type: "silu",
  summary: "A smooth ReLU that dips a little below zero; also called swish.",
  formula: "y = x · sigmoid(x)",
  source: "torch.nn.SiLU",
  options: {},
  derivativeOf: "input",
  bind: (kernels) => ({ forward: kernels.silu_forward, backward: kernels.silu_backward }),
});
