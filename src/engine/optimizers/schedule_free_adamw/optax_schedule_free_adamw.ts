import { defineDialect } from "../dialect.ts";
import { schedule_free_adamw } from "./schedule_free_adamw.ts";

export const optax_schedule_free_adamw = defineDialect("optax", schedule_free_adamw, {
  source: "Defazio et al. 2024, arXiv:2405.15682; optax.contrib.schedule_free_adamw",
  names: { lr: "learning_rate", betas: ["b1", "b2"] },
  check: ({ betas: [b1] }) =>
    b1 > 0 ? [] : [{ option: "b1", message: "must be above 0: the average is computed by dividing by it" }],
});
