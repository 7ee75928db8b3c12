import { shapeText } from "../../member/shape.ts";
import { defineLayer, LayerFault } from "../layer.ts";
import { batchNorm, batchNormOptions, channelShapes } from "./channels.ts";

/**
 * Brings every channel of samples [channels] or [channels, length] to mean 0 and variance 1 over
 * the batch, and then to a learned scale and shift. When it is evaluated, running statistics of the
 * batches take the place of the batch's. Semantics of `torch.nn.BatchNorm1d`: a batch is normalized
 * by the biased variance, and the unbiased one goes into the running variance.
 *
 * Ioffe & Szegedy, "Batch normalization", ICML 2015 (arXiv:1502.03167).
 */
export const batch_norm1d = defineLayer({
  type: "batch_norm1d",
  summary: "Normalizes each channel over the batch; speeds up networks on tables and sequences.",
  formula: "y = (x − mean(batch)) / √(var(batch) + eps) · weight + bias",
  source: "torch.nn.BatchNorm1d",
  example: { input: [3, 5] },
  options: batchNormOptions,
  needs: { backward: ["input"], gradient: ["input"] },
  shape(options, [{ shape }]) {
    if (!(shape.length === 1 || shape.length === 2))
      throw new LayerFault(
        null,
        `takes [channels] or [channels, length], but its input is ${shapeText(shape)}${shape.length === 3 ? "; use batch_norm2d" : ""}`,
      );
    return channelShapes(options, shape);
  },
  create: batchNorm,
});
