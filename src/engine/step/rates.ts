import type { LearningGroup } from "../plan/groups.ts";
import type { Kernels } from "../kernels/kernels.ts";
import { configure } from "../optimizers/configure.ts";
import { scaleAt } from "../watch/rewind.ts";
import { rateAt, type Rate } from "../schedules/learning-rate.ts";
import type { Progress } from "../state/state.ts";
import type { Schedule } from "../settings.ts";

/**
 * The learning rate of each group that learns: what the schedule gives, changed by rewinds. The
 * schedule may have a state for each group.
 */
export class Rates {
  /** What it starts from. */
  readonly bases: readonly number[];
  readonly #kernels: Kernels;
  readonly #schedule: Schedule;
  readonly #groups: readonly LearningGroup[];
  readonly #stepsPerEpoch: number;

  constructor(kernels: Kernels, schedule: Schedule, groups: readonly LearningGroup[], stepsPerEpoch: number) {
    this.bases = groups.map(({ optimizer }) => configure(optimizer).rate);
    this.#kernels = kernels;
    this.#schedule = schedule;
    this.#groups = groups;
    this.#stepsPerEpoch = stepsPerEpoch;
  }

  /** Those of the next step. */
  next({ step, schedule, groups, changes }: Progress): Rate[] {
    const changed = scaleAt(step, changes);
    return this.#groups.map(({ rateScale }, i) => {
      const state = i === 0 ? (schedule?.state ?? null) : groups[i - 1].schedule;
      const when = { step, stepsPerEpoch: this.#stepsPerEpoch, state };
      const { lr, momentum } = rateAt(this.#kernels, this.#schedule, this.bases[i], when);
      return { lr: lr * rateScale * changed, momentum };
    });
  }
}
