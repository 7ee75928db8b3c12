import { defineElementwise } from "../elementwise.ts";

/**
 * A ReLU that stops at 6. Its derivative at 0 and at 6 is 0.
 *
 * Howard et al., "MobileNets: Efficient convolutional neural networks for mobile vision
 * applications", arXiv:1704.04861.
 */
export const relu6 = defineElementwise({
  type: "relu6",
  summary: "A ReLU that never exceeds 6; usual in networks that are stored with few bits.",
  formula: "y = min(max(0, x), 6)",
  source: "torch.nn.ReLU6",
  options: {},
  mortal: true,
  derivativeOf: "output",
  bind: (kernels) => ({ forward: kernels.relu6_forward, backward: kernels.relu6_backward }),
});
