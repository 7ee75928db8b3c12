import { defineDialect } from "../dialect.ts";
import { adagrad, createAdagrad } from "./adagrad.ts";

/**
 * Keras starts the sum at 0.1, which makes the first steps shorter, and adds epsilon under the
 * root.
 */
export const keras_adagrad = defineDialect("keras", adagrad, {
  source: "Duchi et al. 2011; keras.optimizers.Adagrad",
  formula: "s += g²; x −= learning_rate · g/√(s + epsilon)",
  names: { lr: "learning_rate", eps: "epsilon" },
  defaults: { lr: 1e-3, initial_accumulator_value: 0.1, eps: 1e-7 },
  fixed: { lr_decay: 0, weight_decay: 0, maximize: false },
  create: (kernels, options) => createAdagrad(kernels, options, true),
});
