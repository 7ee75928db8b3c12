import { defineElementwise } from "../elementwise.ts";

/** Like tanh, but it nears its bounds slowly. */
export const softsign = defineElementwise({
  type: "softsign",
  summary: "Squashes to −1..1 like tanh, with longer tails.",
  formula: "y = x / (1 + |x|)",
  source: "torch.nn.Softsign",
  options: {},
  saturates: true,
  derivativeOf: "input",
  bind: (kernels) => ({ forward: kernels.softsign_forward, backward: kernels.softsign_backward }),
});
