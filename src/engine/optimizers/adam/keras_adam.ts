import { defineDialect } from "../dialect.ts";
import { adam, createAdam } from "./adam.ts";

/** Keras's names for the options of Adam and its relatives. */
export const kerasNames = { lr: "learning_rate", betas: ["beta_1", "beta_2"], eps: "epsilon" } as const;

/**
 * Keras adds epsilon to the root of the uncorrected second moment. In the first steps it has more
 * weight than PyTorch's eps.
 */
export const keras_adam = defineDialect("keras", adam, {
  source: "Kingma & Ba 2015, section 2, last paragraph; keras.optimizers.Adam",
  formula: "m = β₁m + (1−β₁)g; v = β₂v + (1−β₂)g²; x −= learning_rate · √(1−β₂ᵗ)/(1−β₁ᵗ) · m / (√v + epsilon)",
  names: kerasNames,
  defaults: { eps: 1e-7 },
  fixed: { weight_decay: 0, decoupled_weight_decay: false, maximize: false },
  create: (kernels, options) => createAdam(kernels, options, { epsilonHat: true }),
});
