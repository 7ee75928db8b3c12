import { defineDialect } from "../dialect.ts";
import { createAdam } from "./adam.ts";
import { adamw } from "./adamw.ts";
import { kerasNames } from "./keras_adam.ts";

/** Decays the weights directly, then takes a step of Keras's Adam. */
export const keras_adamw = defineDialect("keras", adamw, {
  source: "Loshchilov & Hutter 2019; keras.optimizers.AdamW",
  formula: "x *= 1 − learning_rate · weight_decay; then as Keras' adam",
  names: kerasNames,
  defaults: { eps: 1e-7, weight_decay: 0.004 },
  fixed: { maximize: false },
  create: (kernels, options) => createAdam(kernels, options, { decoupled: true, epsilonHat: true }),
});
