import { defineDialect } from "../dialect.ts";
import { lamb } from "./lamb.ts";

export const optax_lamb = defineDialect("optax", lamb, {
  source: "You et al. 2020, arXiv:1904.00962; optax.lamb",
  names: { lr: "learning_rate", betas: ["b1", "b2"] },
  required: ["lr"],
});
