import { defineLayer } from "../layer.ts";
import { channelOptions, createOf, needs, shapeOf, windowOptions } from "./declaration.ts";

/**
 * A convolution over images (cross-correlation: the kernel is not turned around). Semantics and
 * initial values of `torch.nn.Conv2d` with `padding_mode` zeros. The weight is [out_channels,
 * in_channels / groups, kernel height, kernel width].
 */
export const conv2d = defineLayer({
  type: "conv2d",
  summary: "Learned kernels that slide over an image [channels, height, width].",
  formula:
    "y[o,i,j] = Σ_{c,p,q} w[o,c,p,q] · x[c, i·stride + p·dilation − padding, j·stride + q·dilation − padding] + b[o]",
  source: "torch.nn.Conv2d",
  example: { input: [2, 7, 6], options: { out_channels: 5, kernel_size: [3, 3], padding: [1, 1] } },
  options: { ...windowOptions(2), ...channelOptions },
  needs,
  shape: (options, inputs) => shapeOf(options, inputs, 2),
  create: (kernels, options, place) => createOf(kernels, options, place, 2),
});
