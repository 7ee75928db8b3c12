import { defineDialect } from "../dialect.ts";
import { novograd } from "./novograd.ts";

export const optax_novograd = defineDialect("optax", novograd, {
  source: "Ginsburg et al. 2019, arXiv:1905.11286; optax.novograd",
  names: { lr: "learning_rate", betas: ["b1", "b2"] },
  required: ["lr"],
});
