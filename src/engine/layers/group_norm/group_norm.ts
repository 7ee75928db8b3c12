import { size } from "../../member/shape.ts";
import { checkInputSize } from "../input-size.ts";
import { defineLayer, LayerFault } from "../layer.ts";

/**
 * Brings groups of a sample's channels to mean 0 and variance 1, and each channel then to a learned
 * scale and shift. A sample is [channels, …]. Semantics of `torch.nn.GroupNorm`.
 *
 * Wu & He, "Group normalization", ECCV 2018 (arXiv:1803.08494).
 */
export const group_norm = defineLayer({
  type: "group_norm",
  summary: "Normalizes groups of channels within a sample; like batch_norm, but independent of the batch.",
  formula: "y = (x − mean(group)) / √(var(group) + eps) · weight[channel] + bias[channel]",
  source: "torch.nn.GroupNorm",
  example: { input: [6, 5], options: { num_groups: 3 } },
  options: {
    num_groups: { kind: "integer", min: 1, doc: "How many groups the channels are cut into, in equal parts." },
    num_channels: {
      kind: "integer",
      default: null,
      min: 1,
      doc: "Size of a sample's first dimension; inferred, and checked if it is given.",
    },
    eps: { kind: "number", default: 1e-5, above: 0, doc: "Added to the variance, inside the root." },
    affine: { kind: "boolean", default: true, doc: "Whether to learn a scale and a shift of each channel." },
  },
  needs: { backward: ["input", "saved"], gradient: ["input", "saved"] },
  shape({ num_groups, num_channels, affine }, [{ shape }]) {
    const [channels] = shape;
    checkInputSize("num_channels", num_channels, shape, 0);
    if (channels % num_groups !== 0)
      throw new LayerFault("num_groups", `is ${num_groups}, which does not divide the ${channels} channels`);
    const parameter = (name: string, value: number) => {
      const initializer = { distribution: "constant", value } as const;
      return { name, shape: [channels], initializer, rowCost: size(shape) / channels };
    };
    return {
      output: shape,
      parameters: affine ? [parameter("weight", 1), parameter("bias", 0)] : [],
      saved: 2 * num_groups,
      inferred: { num_channels: channels },
    };
  },
  create(kernels, { num_groups: groups, eps }, place) {
    const [{ address: x, gradient: dx, size: sample, shape }] = place.inputs;
    const { address: y, gradient: dy } = place.output;
    const channels = shape[0] / groups;
    const spatial = sample / shape[0];
    const saved = (begin: number) => place.saved + begin * groups * 8;
    return {
      forward([weight = 0, bias = 0], begin, end) {
        const at = begin * sample * 4;
        const count = (end - begin) * groups;
        kernels.group_norm_forward(x + at, y + at, weight, bias, saved(begin), count, groups, channels, spatial, eps);
      },
      backward([weight = 0], begin, end) {
        const at = begin * sample * 4;
        const count = (end - begin) * groups;
        kernels.group_norm_backward(x + at, dy + at, dx + at, weight, saved(begin), count, groups, channels, spatial);
      },
      gradient(parameter, begin, end, samples) {
        const out = place.gradients[parameter];
        const ofWeight = Number(parameter === 0);
        kernels.group_norm_gradient(out, x, dy, place.saved, samples, groups, channels, spatial, begin, end, ofWeight);
      },
    };
  },
});
