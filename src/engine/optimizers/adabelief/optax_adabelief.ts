import { defineDialect } from "../dialect.ts";
import { adabelief } from "./adabelief.ts";

export const optax_adabelief = defineDialect("optax", adabelief, {
  source: "Zhuang et al. 2020, arXiv:2010.07468; optax.adabelief",
  names: { lr: "learning_rate", betas: ["b1", "b2"] },
  required: ["lr"],
});
