import { defineOptimizer } from "../optimizer.ts";
import { adamOptions, adamState, createAdam } from "./adam.ts";

const { decoupled_weight_decay: _always, ...shared } = adamOptions;

/**
 * AdamW: Adam whose weight decay does not pass through the moments, so that it shrinks every weight
 * at the same rate.
 *
 *     x = x · (1 − lr · weight_decay), then Adam's step with the plain gradient
 *
 * Loshchilov & Hutter, "Decoupled weight decay regularization", ICLR 2019 (arXiv:1711.05101),
 * algorithm 2. Semantics of `torch.optim.AdamW`.
 *
 * With lr = 0.1 and weight_decay = 0.5 a weight of 1 under gradient 3 first shrinks to 0.95 and
 * then takes Adam's step to 0.85; in Adam the decay would only have changed the gradient from 3 to
 * 3.5, and the weight would have gone to 0.9.
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
      doc: "Share of each weight, times lr, taken off at every step.",
    },
  },
  cycledOption: "betas",
  torch: { name: "AdamW", sets: () => ({ decoupled_weight_decay: true }) },
  state: adamState,
  create: (kernels, options) => createAdam(kernels, options, { decoupled: true }),
});
