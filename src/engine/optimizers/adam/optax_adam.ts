import type { Options } from "../../member/options.ts";
import { defineDialect } from "../dialect.ts";
import { adam, createAdam } from "./adam.ts";

/** optax's names for the options of Adam and its relatives. */
export const optaxNames = { lr: "learning_rate", betas: ["b1", "b2"] } as const;

export const epsRoot = {
  eps_root: { kind: "number", default: 0, min: 0, doc: "Added to the corrected second moment, under the root." },
} as const satisfies Options;

/** optax can also add a constant under the root. PyTorch cannot. */
export const optax_adam = defineDialect("optax", adam, {
  source: "Kingma & Ba 2015; optax.adam",
  formula: "m = b1·m + (1−b1)g; v = b2·v + (1−b2)g²; x −= learning_rate · m/(1−b1ᵗ) / (√(v/(1−b2ᵗ) + eps_root) + eps)",
  names: optaxNames,
  required: ["lr"],
  fixed: { weight_decay: 0, decoupled_weight_decay: false, amsgrad: false, maximize: false },
  extra: epsRoot,
  create: (kernels, options) => createAdam(kernels, options, { epsRoot: options.eps_root }),
});
