import { epsRoot } from "../adam/optax_adam.ts";
import { defineDialect } from "../dialect.ts";
import { ademamix, createAdemamix } from "./ademamix.ts";

/** optax has no options for the warm-ups: it leaves them to its schedules. */
export const optax_ademamix = defineDialect("optax", ademamix, {
  source: "Pagliardini et al. 2025, arXiv:2409.03137; optax.contrib.ademamix",
  names: { lr: "learning_rate", betas: ["b1", "b2", "b3"] },
  required: ["lr"],
  fixed: { alpha_warmup: null, beta3_warmup: null },
  extra: epsRoot,
  create: (kernels, options) => createAdemamix(kernels, options, options.eps_root),
});
