import { defineElementwise } from "../elementwise.ts";

/** The logarithm of a sigmoid, which does not overflow for any x. */
export const logsigmoid = defineElementwise({
  type: "logsigmoid",
  summary: "The logarithm of a sigmoid: turns logits into log-probabilities.",
  formula: "y = ln(1 / (1 + exp(−x)))",
  source: "torch.nn.LogSigmoid",
  options: {},
  gives: "log_probabilities",
  derivativeOf: "input",
  bind: (kernels) => ({ forward: kernels.logsigmoid_forward, backward: kernels.logsigmoid_backward }),
});
