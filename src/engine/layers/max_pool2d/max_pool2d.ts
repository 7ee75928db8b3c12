import { defineLayer } from "../layer.ts";
import { createOf, needs, optionsOf, shapeOf } from "./declaration.ts";

/**
 * The largest element of each window. Of equal ones the first, row by row, gets the gradient.
 * Padding is never the largest, and NaN always is. Semantics of `torch.nn.MaxPool2d`.
 */
export const max_pool2d = defineLayer({
  type: "max_pool2d",
  summary: "The largest element of each window of an image [channels, height, width].",
  formula: "y[c,i,j] = max_{p,q} x[c, i·stride + p·dilation − padding, j·stride + q·dilation − padding]",
  source: "torch.nn.MaxPool2d",
  example: { input: [3, 7, 6], options: { kernel_size: [2, 2] } },
  options: optionsOf(2),
  needs,
  shape: (options, inputs) => shapeOf(options, inputs, 2),
  create: (kernels, options, place) => createOf(kernels, options, place, 2),
});
