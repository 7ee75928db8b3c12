import { kerasNames } from "../adam/keras_adam.ts";
import { defineDialect } from "../dialect.ts";
import { nadam } from "./nadam.ts";

/**
 * In Keras the momentum grows 250 times as fast as with PyTorch's default. The formula is the same.
 */
export const keras_nadam = defineDialect("keras", nadam, {
  source: "Dozat 2016; keras.optimizers.Nadam",
  formula: "x −= learning_rate · (μₜ₊₁/(1−Mμₜ₊₁)·m + (1−μₜ)/(1−M)·g) / (√v̂ + epsilon), μₜ = β₁(1 − 0.96ᵗ/2), M = Πμ",
  names: kerasNames,
  defaults: { lr: 1e-3, eps: 1e-7 },
  fixed: { momentum_decay: 1, weight_decay: 0, decoupled_weight_decay: false, maximize: false },
});
