import { kerasNames } from "../adam/keras_adam.ts";
import { defineDialect } from "../dialect.ts";
import { adamax, createAdamax } from "./adamax.ts";

/**
 * Keras adds epsilon to the denominator. PyTorch adds it to the gradient's size, before it takes
 * the maximum.
 */
export const keras_adamax = defineDialect("keras", adamax, {
  source: "Kingma & Ba 2015, algorithm 2; keras.optimizers.Adamax",
  formula: "m = β₁m + (1−β₁)g; u = max(β₂u, |g|); x −= learning_rate/(1−β₁ᵗ) · m/(u + epsilon)",
  names: kerasNames,
  defaults: { lr: 1e-3, eps: 1e-7 },
  fixed: { weight_decay: 0, maximize: false },
  create: (kernels, options) => createAdamax(kernels, options, true),
});
