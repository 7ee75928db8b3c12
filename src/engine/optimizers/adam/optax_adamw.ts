import { defineDialect } from "../dialect.ts";
import { createAdam } from "./adam.ts";
import { adamw } from "./adamw.ts";
import { epsRoot, optaxNames } from "./optax_adam.ts";

export const optax_adamw = defineDialect("optax", adamw, {
  source: "Loshchilov & Hutter 2019; optax.adamw",
  names: optaxNames,
  required: ["lr"],
  defaults: { weight_decay: 1e-4 },
  fixed: { amsgrad: false, maximize: false },
  extra: epsRoot,
  create: (kernels, options) => createAdam(kernels, options, { decoupled: true, epsRoot: options.eps_root }),
});
