import { defineOptimizer } from "../optimizer.ts";
import { adamOptions, adamState, createAdam } from "./adam.ts";

const { decoupled_weight_decay: _always, ...shared } = adamOptions;

/**
 * AdamW: Adam whose weight decay does not pass through the moments. It shrinks every weight at the
 * same rate.
 *
 *     x = x · (1 − lr · weight_decay), then Adam's step with the plain gradient
 *
 * Loshchilov & Hutter, "Decoupled weight decay regularization", ICLR 2019 (arXiv:1711.05101),
 * algorithm 2. Semantics of `torch.optim.AdamW`.
 *
 * Take lr = 0.1, weight_decay = 0.5, a weight of 1 and a gradient of 3. The weight first shrinks to
 * 0.95, and Adam's step then takes it to 0.85. In Adam the decay would only change the gradient
 * from 3 to 3.5, and the weight would go to 0.9.
 */
export const adamw = defineOptimizer({
  type: "adamw",
  summary:
    "Adam with decoupled weight decay: the usual choice for transformers and wherever weights should stay small.",
  formula: "x *= 1 − lr · weight_decay; then as adam without weight decay",
  source: "Loshchilov & Hutter 2019, arXiv:1711.05101; torch.optim.AdamW",
  options: {
    ...shared,
    weight_decay: {
      kind: "number",
      default: 0.01,
      min: 0,
      doc: "Decoupled weight decay: every step takes lr times this share off each weight.",
    },
  },
  cycledOption: "betas",
  torch: { name: "AdamW", sets: () => ({ decoupled_weight_decay: true }) },
  state: adamState,
  create: (kernels, options) => createAdam(kernels, options, { decoupled: true }),
});
