import { defineElementwiseLoss } from "../elementwise.ts";

/** Mean absolute error. Its derivative where prediction and target are equal is 0. */
export const l1 = defineElementwiseLoss({
  type: "l1",
  summary: "Mean absolute error: for regression on data with outliers.",
  formula: "|x − y|",
  source: "torch.nn.L1Loss",
  options: {},
  bind:
    (kernels, _options, { outputs }) =>
    (x, y, terms, gradient, samples, scale) =>
      kernels.l1(x, y, terms, gradient, samples * outputs, scale),
});
