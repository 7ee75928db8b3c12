import { defineDialect } from "../dialect.ts";
import { yogi } from "./yogi.ts";

export const optax_yogi = defineDialect("optax", yogi, {
  source: "Zaheer et al. 2018; optax.yogi",
  names: { lr: "learning_rate", betas: ["b1", "b2"] },
  required: ["lr"],
});
