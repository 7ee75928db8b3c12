import { defineElementwiseLoss } from "../elementwise.ts";

/** The smallest float32 above 0, which makes the absolute error of everything but 0. */
const LEAST = 2 ** -149;

/**
 * Squared error below `beta`, absolute error above: the Huber loss divided by `beta`.
 *
 * Girshick, "Fast R-CNN", ICCV 2015.
 */
export const smooth_l1 = defineElementwiseLoss({
  type: "smooth_l1",
  summary: "Absolute error that is smooth near the target: like huber, with slope 1 whatever beta is.",
  formula: "(x − y)² / (2 · beta) if |x − y| < beta else |x − y| − beta / 2",
  source: "torch.nn.SmoothL1Loss",
  options: {
    beta: {
      kind: "number",
      default: 1,
      min: 0,
      tries: [0.75, 0],
      doc: "Difference up to which the error is squared; beyond it the error is absolute.",
    },
  },
  bind:
    (kernels, { beta }, { outputs }) =>
    (x, y, terms, gradient, samples, scale) =>
      kernels.smooth_l1(x, y, terms, gradient, samples * outputs, scale, Math.max(beta, LEAST)),
});
