import type { Averaging, Training } from "../settings.ts";
import type { Kernels } from "../kernels/kernels.ts";
import type { Plan } from "../plan/model.ts";

/*
 * Averages of the weights over steps, as `torch.optim.swa_utils.AveragedModel` takes them after its
 * optimizer's step.
 *
 *     ema   first avg = w, then avg = decay · avg + (1 − decay) · w
 *     swa   avg = avg + (w − avg) / (n + 1), after n averages
 *
 * An average is taken after the steps start_step + every_steps, start_step + 2 every_steps, …
 * (steps count from 1), while the new weights are in cache. It is written to the region of
 * evaluation weights. So the averages are evaluated, kept as best and served; before the first
 * average, the weights are. The number of averages follows from the step alone, so there is no
 * counter to keep.
 *
 * Polyak & Juditsky, "Acceleration of stochastic approximation by averaging", 1992; Izmailov et
 * al., "Averaging weights leads to wider optima and better generalization", UAI 2018
 * (arXiv:1803.05407).
 */

export class WeightAverages {
  readonly #kernels: Kernels;
  readonly #plan: Plan;
  readonly #averaging: Averaging;
  /**
   * How far the averages move towards the new weights at this step, from 0 to 1. 0: no average is
   * taken.
   */
  #share = 0;

  constructor(kernels: Kernels, plan: Plan, averaging: Averaging) {
    this.#kernels = kernels;
    this.#plan = plan;
    this.#averaging = averaging;
  }

  /** Null if the job takes no averages. */
  static of(kernels: Kernels, plan: Plan, { averaging = null }: Pick<Training, "averaging">): WeightAverages | null {
    return averaging && new WeightAverages(kernels, plan, averaging);
  }

  /** Prepares step `t`, from 1. */
  begin(t: number): void {
    const before = averagesBy(this.#averaging, t - 1);
    if (averagesBy(this.#averaging, t) === before) this.#share = 0;
    else if (before === 0) this.#share = 1;
    else this.#share = this.#averaging.type === "ema" ? 1 - this.#averaging.decay : 1 / (before + 1);
  }

  /** Adds elements begin..end of a parameter to their averages, if this step takes an average. */
  take(parameter: number, begin: number, end: number): void {
    if (this.#share === 0) return;
    const { weight, evaluated } = this.#plan.parameters[parameter];
    if (this.#share === 1) this.#copy(parameter, begin, end);
    else this.#kernels.average(evaluated + begin * 4, weight + begin * 4, end - begin, this.#share);
  }

  /** Copies the weights after `step` steps to the averages' place, if there is no average yet. */
  standIn(step: number, parameter: number, begin: number, end: number): void {
    if (averagesBy(this.#averaging, step) === 0) this.#copy(parameter, begin, end);
  }

  #copy(parameter: number, begin: number, end: number): void {
    const { weight, evaluated } = this.#plan.parameters[parameter];
    this.#kernels.copy(evaluated + begin * 4, weight + begin * 4, end - begin);
  }
}

/** How many averages have been taken after `step` steps. */
export function averagesBy({ start_step, every_steps }: Averaging, step: number): number {
  return Math.max(0, Math.floor((step - start_step) / every_steps));
}
