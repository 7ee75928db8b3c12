import { defineDialect } from "../dialect.ts";
import { createRmsprop, rmsprop, rmspropState } from "./rmsprop.ts";

/**
 * optax adds eps under the root by default. Its momentum buffer holds steps, which include the
 * learning rate.
 */
export const optax_rmsprop = defineDialect("optax", rmsprop, {
  source: "Tieleman & Hinton 2012; optax.rmsprop",
  formula: "v = decay·v + (1−decay)·g²; m = momentum·m + learning_rate · g / √(v + eps); x −= m",
  names: { lr: "learning_rate", alpha: "decay" },
  required: ["lr"],
  defaults: { alpha: 0.9 },
  fixed: { weight_decay: 0, maximize: false },
  extra: {
    initial_scale: { kind: "number", default: 0, min: 0, tries: [0.2], doc: "Initial value of the mean square." },
    eps_in_sqrt: { kind: "boolean", default: true, doc: "Add eps to the mean square, not to its root." },
  },
  state: ({ momentum, centered, initial_scale: start }) => rmspropState(momentum, centered, start),
  create: (kernels, options) => createRmsprop(kernels, options, { epsInside: options.eps_in_sqrt, rateInside: true }),
});
