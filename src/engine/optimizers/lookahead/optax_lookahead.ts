import { defineDialect } from "../dialect.ts";
import { lookahead } from "./lookahead.ts";

/** A member of any dialect can be the fast optimizer. optax's own `lookahead` has no defaults. */
export const optax_lookahead = defineDialect("optax", lookahead, {
  source: "Zhang et al. 2019, arXiv:1907.08610; optax.lookahead",
  names: { optimizer: "fast_optimizer" },
  required: ["optimizer", "sync_period", "slow_step_size"],
  check: ({ optimizer: { type } }) =>
    type.evaluatesOthers || type.fullBatch
      ? [
          {
            option: "fast_optimizer",
            message: `cannot be ${type.type}, which evaluates other weights than it trains or searches for its steps`,
          },
        ]
      : [],
});
