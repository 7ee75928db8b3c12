import { shapeText } from "../../member/shape.ts";
import { defineLayer, LayerFault } from "../layer.ts";
import { batchNorm, batchNormOptions, channelShapes } from "./channels.ts";

/**
 * Brings every channel of samples [channels, height, width] to mean 0 and variance 1 over the
 * batch, and then to a learned scale and shift. When it is evaluated, running statistics of the
 * batches take the place of the batch's. Semantics of `torch.nn.BatchNorm2d`: a batch is normalized
 * by the biased variance, and the unbiased one goes into the running variance.
 *
 * Ioffe & Szegedy, "Batch normalization", ICML 2015 (arXiv:1502.03167).
 */
export const batch_norm2d = defineLayer({
  type: "batch_norm2d",
  summary: "Normalizes each channel of images over the batch; usual in convolutional networks.",
  formula: "y = (x − mean(batch)) / √(var(batch) + eps) · weight + bias",
  source: "torch.nn.BatchNorm2d",
  example: { input: [3, 4, 5] },
  options: batchNormOptions,
  needs: { backward: ["input"], gradient: ["input"] },
  shape(options, [{ shape }]) {
    if (!(shape.length === 3))
      throw new LayerFault(
        null,
        `takes [channels, height, width], but its input is ${shapeText(shape)}${shape.length < 3 ? "; use batch_norm1d" : ""}`,
      );
    return channelShapes(options, shape);
  },
  create: batchNorm,
});
