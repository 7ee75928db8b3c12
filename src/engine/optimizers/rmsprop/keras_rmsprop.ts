import { defineDialect } from "../dialect.ts";
import { createRmsprop, rmsprop } from "./rmsprop.ts";

/**
 * Keras adds epsilon under the root, and its momentum buffer holds steps, learning rate included.
 */
export const keras_rmsprop = defineDialect("keras", rmsprop, {
  source: "Tieleman & Hinton 2012; keras.optimizers.RMSprop",
  formula: "v = rho·v + (1−rho)·g²; m = momentum·m + learning_rate · g / √(v + epsilon); x −= m",
  names: { lr: "learning_rate", alpha: "rho", eps: "epsilon" },
  defaults: { lr: 1e-3, alpha: 0.9, eps: 1e-7 },
  fixed: { weight_decay: 0, maximize: false },
  create: (kernels, options) => createRmsprop(kernels, options, { epsInside: true, rateInside: true }),
});
