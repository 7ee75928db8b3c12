import { defineElementwiseLoss } from "../elementwise.ts";

/** Mean squared error. */
export const mse = defineElementwiseLoss({
  type: "mse",
  summary: "Mean squared error: the usual loss of regression.",
  formula: "(x − y)²",
  source: "torch.nn.MSELoss",
  options: {},
  bind:
    (kernels, _options, { outputs }) =>
    (x, y, terms, gradient, samples, scale) =>
      kernels.mse(x, y, terms, gradient, samples * outputs, scale),
});
