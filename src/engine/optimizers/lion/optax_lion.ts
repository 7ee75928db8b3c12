import { defineDialect } from "../dialect.ts";
import { lion } from "./lion.ts";

export const optax_lion = defineDialect("optax", lion, {
  source: "Chen et al. 2023, arXiv:2302.06675; optax.lion",
  names: { lr: "learning_rate", betas: ["b1", "b2"] },
  required: ["lr"],
});
