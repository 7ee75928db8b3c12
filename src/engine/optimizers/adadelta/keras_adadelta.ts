import { defineDialect } from "../dialect.ts";
import { adadelta } from "./adadelta.ts";

export const keras_adadelta = defineDialect("keras", adadelta, {
  source: "Zeiler 2012, arXiv:1212.5701; keras.optimizers.Adadelta",
  names: { lr: "learning_rate", eps: "epsilon" },
  defaults: { lr: 1e-3, rho: 0.95, eps: 1e-7 },
  fixed: { weight_decay: 0, maximize: false },
});
