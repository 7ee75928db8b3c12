import { defineLayer } from "../layer.ts";
import { createOf, needs, optionsOf, shapeOf } from "./declaration.ts";

/** The mean of each window. Semantics of `torch.nn.AvgPool2d`. */
export const avg_pool2d = defineLayer({
  type: "avg_pool2d",
  summary: "The mean of each window of an image [channels, height, width].",
  formula: "y[c,i,j] = mean_{p,q} x[c, i·stride + p − padding, j·stride + q − padding]",
  source: "torch.nn.AvgPool2d",
  example: { input: [3, 7, 6], options: { kernel_size: [2, 2] } },
  options: {
    ...optionsOf(2),
    divisor_override: {
      kind: "integer",
      default: null,
      min: 1,
      max: 1_000_000_000,
      doc: "What sums are divided by, instead of the number of elements.",
    },
  },
  needs,
  shape: (options, inputs) => shapeOf(options, inputs, 2),
  create: (kernels, options, place) => createOf(kernels, options, place, 2),
});
