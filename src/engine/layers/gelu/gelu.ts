import { defineElementwise } from "../elementwise.ts";

/**
 * Gaussian error linear unit: the input times the probability that a standard normal number is
 * smaller.
 *
 * Hendrycks, Gimpel, "Gaussian error linear units (GELUs)", arXiv:1606.08415.
 */
export const gelu = defineElementwise({
  type: "gelu",
  summary: "A smooth ReLU, usual in transformers.",
  formula: "y = x · Φ(x), Φ(x) = (1 + erf(x / √2)) / 2; tanh: y = x / 2 · (1 + tanh(√(2/π) (x + 0.044715 x³)))",
  source: "torch.nn.GELU",
  options: {
    approximate: {
      kind: "choice",
      choices: ["none", "tanh"],
      default: "none",
      doc: "Whether to compute Φ itself or its approximation by tanh, as GPT-2 does.",
    },
  },
  derivativeOf: "input",
  bind: (kernels, { approximate }) =>
    approximate === "none"
      ? { forward: kernels.gelu_forward, backward: kernels.gelu_backward }
      : { forward: kernels.gelu_tanh_forward, backward: kernels.gelu_tanh_backward },
});
