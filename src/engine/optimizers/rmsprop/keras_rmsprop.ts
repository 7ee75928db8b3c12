import { defineDialect } from "../dialect.ts";
import { createRmsprop, rmsprop } from "./rmsprop.ts";

/**
 * Keras adds epsilon under the root. Its momentum buffer holds steps, which include the learning
 * rate.
 */
export const keras_rmsprop = defineDialect("keras", rmsprop, {
  source: "Tieleman & Hinton 2012; keras.optimizers.RMSprop",
  formula: "v = rho·v + (1−rho)·g²; m = momentum·m + learning_rate · g / √(v + epsilon); x −= m",
  names: { lr: "learning_rate", alpha: "rho", eps: "epsilon" },
  defaults: { lr: 1e-3, alpha: 0.9, eps: 1e-7 },
  fixed: { weight_decay: 0, maximize: false },
  create: (kernels, options) => createRmsprop(kernels, options, { epsInside: true, rateInside: true }),
});
