import { defineElementwiseLoss } from "../elementwise.ts";

/**
 * Negative log-likelihood of counts that are Poisson distributed. The outputs are the logarithms of
 * the expected counts or, without `log_input`, the expected counts.
 */
export const poisson_nll = defineElementwiseLoss({
  type: "poisson_nll",
  summary: "Poisson regression: for counts. The outputs are logarithms of the expected counts.",
  formula:
    "exp(x) − y · x, or without log_input x − y · ln(x + eps); full adds y · ln y − y + ln(2π · y) / 2 where y > 1",
  source: "torch.nn.PoissonNLLLoss",
  targets: "count",
  options: {
    log_input: { kind: "boolean", default: true, doc: "Whether the outputs are logarithms of the expected counts." },
    full: {
      kind: "boolean",
      default: false,
      doc: "Adds Stirling's approximation of ln(y!), which changes the loss, but not what is learned.",
    },
    eps: {
      kind: "number",
      default: 1e-8,
      above: 0,
      doc: "Added to the expected count before its logarithm, without log_input.",
    },
  },
  answer: (output, { log_input }, { exp }) => (log_input ? exp(output) : output),
  bind:
    (kernels, { log_input, full, eps }, { outputs }) =>
    (x, y, terms, gradient, samples, scale) =>
      kernels.poisson_nll(x, y, terms, gradient, samples * outputs, scale, eps, Number(log_input), Number(full)),
});
