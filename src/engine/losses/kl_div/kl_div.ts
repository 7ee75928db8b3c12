import { defineElementwiseLoss } from "../elementwise.ts";

/**
 * Kullback-Leibler divergence of a distribution from the target's. The outputs are
 * log-probabilities. As in PyTorch, the mean is over all outputs; the divergence of a sample is as
 * many times larger as there are outputs.
 */
export const kl_div = defineElementwiseLoss({
  type: "kl_div",
  summary: "Kullback-Leibler divergence of a distribution from another: end with log_softmax. For distillation.",
  formula: "y · (ln y − x), 0 where y = 0; with log_target exp(y) · (y − x)",
  source: "torch.nn.KLDivLoss",
  targets: "number",
  wants: "log_probabilities",
  options: {
    log_target: { kind: "boolean", default: false, doc: "Whether the targets are logarithms of probabilities." },
  },
  answer: (output, { log_target }, { exp }) => (log_target ? output : exp(output)),
  bind(kernels, { log_target }, { outputs }) {
    const kernel = log_target ? kernels.kl_div_log : kernels.kl_div;
    return (x, y, terms, gradient, samples, scale) => kernel(x, y, terms, gradient, samples * outputs, scale);
  },
});
