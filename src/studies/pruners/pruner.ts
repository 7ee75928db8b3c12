import type { Description, OptionFault, Options, ValuesOf } from "../../engine/member/options.ts";
import type { EndedTrial, Rung, Study } from "../study.ts";

/**
 * What a pruner is: a pure function from a study and its first trials to the rungs of the next
 * trial, each with a threshold. A trial stops at a rung if its objective is worse than the
 * threshold. A threshold of null never stops, but the objective there is noted for later trials.
 */
export interface PrunerType<O extends Options = Options> extends Description {
  readonly options: O;
  /** @param ended the first trials, all of which have ended */
  rungs(options: ValuesOf<O>, study: Study, number: number, ended: readonly EndedTrial[]): readonly Rung[];
  /** Takes in first trials, as `rungs` does too: many at once would take it long. */
  learn?(study: Study, ended: readonly EndedTrial[]): void;
  /** Why it cannot prune the study's trials; each option is within its bounds. */
  check?(options: ValuesOf<O>, study: Study): readonly OptionFault[];
}

export function definePruner<const O extends Options>(type: PrunerType<O>): PrunerType<O> {
  return type;
}
