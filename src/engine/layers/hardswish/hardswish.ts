import { defineElementwise } from "../elementwise.ts";

/**
 * x times a hardsigmoid. Its derivative is 0 at −3 and 1 at 3.
 *
 * Howard et al., "Searching for MobileNetV3", ICCV 2019.
 */
export const hardswish = defineElementwise({
  type: "hardswish",
  summary: "A silu of simple pieces: cheaper, exactly 0 below −3 and x above 3.",
  formula: "y = x · min(max(0, x + 3), 6) / 6",
  source: "torch.nn.Hardswish",
  options: {},
  derivativeOf: "input",
  bind: (kernels) => ({ forward: kernels.hardswish_forward, backward: kernels.hardswish_backward }),
});
