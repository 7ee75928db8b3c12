import { defineDialect } from "../dialect.ts";
import { sgd } from "./sgd.ts";

export const optax_sgd = defineDialect("optax", sgd, {
  source: "Sutskever et al. 2013; optax.sgd",
  formula: "m = g + momentum·m; x −= learning_rate·m (g + momentum·m with nesterov)",
  names: { lr: "learning_rate" },
  required: ["lr"],
  fixed: { dampening: 0, weight_decay: 0, maximize: false },
});
