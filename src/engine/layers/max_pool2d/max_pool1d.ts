import { defineLayer } from "../layer.ts";
import { createOf, needs, optionsOf, shapeOf } from "./declaration.ts";

/**
 * The largest element of each window. Of equal ones the first, row by row, gets the gradient.
 * Padding is never the largest, and NaN always is. Semantics of `torch.nn.MaxPool1d`.
 */
export const max_pool1d = defineLayer({
  type: "max_pool1d",
  summary: "The largest element of each window along a sequence [channels, length].",
  formula: "y[c,i] = max_p x[c, i·stride + p·dilation − padding]",
  source: "torch.nn.MaxPool1d",
  example: { input: [3, 9], options: { kernel_size: [2] } },
  options: optionsOf(1),
  needs,
  shape: (options, inputs) => shapeOf(options, inputs, 1),
  create: (kernels, options, place) => createOf(kernels, options, place, 1),
});
