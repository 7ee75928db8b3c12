import type { Description, OptionFault, Options, ValuesOf } from "../../engine/member/options.ts";
import type { Draws } from "../draws.ts";
import type { Positions } from "../space.ts";
import type { EndedTrial, Study } from "../study.ts";

/**
 * What a sampler is: a pure function from a study and its first trials to the positions of the
 * parameters of the next trial.
 */
export interface SamplerType<O extends Options = Options> extends Description {
  readonly options: O;
  /** One position for each parameter, including those that the trial may turn out not to have. */
  sample(options: ValuesOf<O>, so: SoFar): Positions;
  /**
   * For samplers whose trials go on from others, by a fork: from which. Such a trial trains for the
   * epochs of the spec more than that one did.
   */
  origin?(options: ValuesOf<O>, so: SoFar): Origin | null;
  /** Takes in first trials, as `sample` does too: many at once would take it long. */
  learn?(study: Study, ended: readonly EndedTrial[]): void;
  /**
   * For samplers that go in rounds: the number of trials of a round. A trial starts only after all
   * trials of earlier rounds have ended.
   */
  round?(options: ValuesOf<O>, study: Study): number;
  /** For samplers that run out: the number of trials that there are. */
  size?(options: ValuesOf<O>, study: Study): number;
  /** Why it cannot search the study's space; each option is within its bounds. */
  check?(options: ValuesOf<O>, study: Study): readonly OptionFault[];
}

/** The trial that another goes on from. */
export interface Origin {
  readonly from: number;
  /** Whether it has the same values. Else `sample` gives them. */
  readonly keepsValues: boolean;
}

/** What a sampler may look at. */
export interface SoFar {
  readonly study: Study;
  /** The number of the trial to sample. */
  readonly number: number;
  /** The first trials, all of which have ended. */
  readonly ended: readonly EndedTrial[];
  /** The values of the trials after them, which may still run. */
  readonly started: readonly EndedTrial["values"][];
  readonly draws: Draws;
}

export function defineSampler<const O extends Options>(type: SamplerType<O>): SamplerType<O> {
  return type;
}
