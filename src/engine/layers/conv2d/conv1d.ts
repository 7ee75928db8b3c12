import { defineLayer } from "../layer.ts";
import { channelOptions, createOf, needs, shapeOf, windowOptions } from "./declaration.ts";

/**
 * A convolution over sequences, as `conv2d` is one over images. Semantics and initial values of
 * `torch.nn.Conv1d`. The weight is [out_channels, in_channels / groups, kernel_size].
 */
export const conv1d = defineLayer({
  type: "conv1d",
  summary:
    "Learned kernels that slide along a sequence [channels, length]. For [time, features] put permute before it.",
  formula: "y[o,i] = Σ_{c,p} w[o,c,p] · x[c, i·stride + p·dilation − padding] + b[o]",
  source: "torch.nn.Conv1d",
  example: { input: [4, 9], options: { out_channels: 6, kernel_size: [3], groups: 2 } },
  options: { ...windowOptions(1), ...channelOptions },
  needs,
  shape: (options, inputs) => shapeOf(options, inputs, 1),
  create: (kernels, options, place) => createOf(kernels, options, place, 1),
});
