import { defineLayer } from "../layer.ts";
import { createOf, needs, optionsOf, shapeOf } from "./declaration.ts";

/** The mean of each window. Semantics of `torch.nn.AvgPool1d`. */
export const avg_pool1d = defineLayer({
  type: "avg_pool1d",
  summary: "The mean of each window along a sequence [channels, length].",
  formula: "y[c,i] = mean_p x[c, i·stride + p − padding]",
  source: "torch.nn.AvgPool1d",
  example: { input: [3, 9], options: { kernel_size: [2] } },
  options: optionsOf(1),
  needs,
  shape: (options, inputs) => shapeOf(options, inputs, 1),
  create: (kernels, options, place) => createOf(kernels, options, place, 1),
});
