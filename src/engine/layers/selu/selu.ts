import { defineElementwise } from "../elementwise.ts";

/**
 * Scaled exponential linear unit. At 0 the negative branch counts: its derivative there is scale ·
 * α.
 *
 * Klambauer, Unterthiner, Mayr, Hochreiter, "Self-normalizing neural networks", NeurIPS 2017.
 */
export const selu = defineElementwise({
  type: "selu",
  summary: "An ELU whose scale keeps mean and variance near 0 and 1 through deep networks without normalization.",
  formula: "y = scale · (x if x > 0 else α · (exp(x) − 1)), scale = 1.0507…, α = 1.6732…",
  source: "torch.nn.SELU",
  options: {},
  derivativeOf: "output",
  bind: (kernels) => ({ forward: kernels.selu_forward, backward: kernels.selu_backward }),
});
