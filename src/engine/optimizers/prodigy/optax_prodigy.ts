import { defineDialect } from "../dialect.ts";
import { createProdigy, prodigy } from "./prodigy.ts";

/** optax always corrects the first averages, and multiplies eps by the rate it has just found. */
export const optax_prodigy = defineDialect("optax", prodigy, {
  source: "Mishchenko & Defazio 2024, arXiv:2306.06101; optax.contrib.prodigy",
  names: { lr: "learning_rate", d0: "estim_lr0", d_coef: "estim_lr_coef" },
  fixed: { use_bias_correction: true },
  create: (kernels, options) => createProdigy(kernels, options, true),
});
