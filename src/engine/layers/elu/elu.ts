import { defineElementwise } from "../elementwise.ts";

/**
 * Exponential linear unit. At 0 the negative branch counts: its derivative there is α.
 *
 * Clevert, Unterthiner, Hochreiter, "Fast and accurate deep network learning by exponential linear
 * units", ICLR 2016.
 */
export const elu = defineElementwise({
  type: "elu",
  summary: "Like ReLU, but falls smoothly to −alpha below zero, which keeps the mean activation near zero.",
  formula: "y = x if x > 0 else alpha · (exp(x) − 1)",
  source: "torch.nn.ELU",
  options: {
    alpha: {
      kind: "number",
      default: 1,
      min: 0,
      tries: [0.7, 0],
      doc: "The output approaches −alpha where the input is far below zero.",
    },
  },
  derivativeOf: "output",
  bind: (kernels, { alpha }) => ({
    forward: (x, y, n) => kernels.elu_forward(x, y, n, alpha),
    backward: (y, g, d, n) => kernels.elu_backward(y, g, d, n, alpha),
  }),
});
