import { defineDialect } from "../dialect.ts";
import { ftrl } from "./ftrl.ts";

export const keras_ftrl = defineDialect("keras", ftrl, {
  source: "McMahan et al. 2013; keras.optimizers.Ftrl",
  names: {
    lr: "learning_rate",
    lr_power: "learning_rate_power",
    l1: "l1_regularization_strength",
    l2: "l2_regularization_strength",
    l2_shrinkage: "l2_shrinkage_regularization_strength",
  },
});
