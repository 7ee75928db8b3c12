import { defineElementwise } from "../elementwise.ts";

/** A smooth ReLU, equal to the input where beta · x is above the threshold. */
export const softplus = defineElementwise({
  type: "softplus",
  summary: "A smooth ReLU that is always positive.",
  formula: "y = ln(1 + exp(beta · x)) / beta if beta · x ≤ threshold else x",
  source: "torch.nn.Softplus",
  options: {
    beta: {
      kind: "number",
      default: 1,
      above: 0,
      tries: [2],
      doc: "How sharply it bends: the larger, the closer to ReLU.",
    },
    threshold: {
      kind: "number",
      default: 20,
      tries: [5],
      doc: "Where beta · x is above it, the input passes unchanged.",
    },
  },
  derivativeOf: "input",
  bind: (kernels, { beta, threshold }) => ({
    forward: (x, y, n) => kernels.softplus_forward(x, y, n, beta, threshold),
    backward: (x, g, d, n) => kernels.softplus_backward(x, g, d, n, beta, threshold),
  }),
});
