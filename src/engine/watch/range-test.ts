import type { Kernels } from "../kernels/kernels.ts";
import { scheduleType } from "../schedules/learning-rate.ts";
import type { RateRange } from "../schedules/schedule.ts";
import type { Schedule } from "../settings.ts";

/*
 * The test of learning rates: a run whose rate grows step by step until the loss rises again.
 *
 * The leader notes what each rate did: the loss of the step after it. Neighbouring steps are one
 * level, of which there are at most 100. At the end a smooth curve is laid through the levels: a
 * local straight line over half a decade of rates to either side, with tricube weights. One batch
 * more or less hardly moves it.
 *
 * The curve falls, has a lowest point and rises again. Take the loss half-way between its first and
 * its lowest value. The curve falls through it at the rate a, and rises through it at the rate b.
 * The suggestion is √(a·b)/5: the middle of the useful rates, on the scale of their logarithms, and
 * then some distance from the edge, because a training is longer than the test. There is none if
 * the curve does not tell: if it fell by less than four standard errors of the fall, or had not
 * risen again at the last rate.
 *
 * This was measured on five datasets with 13 optimizers and three seeds. Trained at the suggestion,
 * a model had 1.16 times the validation loss of the best of 13 rates (median), nine of ten had at
 * most 1.65 times, and the worst 3.8 times. In 13 % there was no suggestion, mostly because
 * Adadelta can do with higher rates than 10. The rule was chosen on these very models, out of about
 * thirty, so the figures flatter it. Rules in common use had the same median, but worse ends: the
 * steepest point 2.6 (nine of ten) and 13 (worst), a tenth of the lowest point 2.2, and some models
 * diverged. They were measured without Muon, and always gave a rate. Of losses that are nothing but
 * noise less than 1 % give a suggestion.
 */

export interface RatePoint {
  readonly lr: number;
  /** The mean loss of the steps after this rate. */
  readonly loss: number;
  readonly smoothed: number;
}

export interface RangeTestResult {
  /** Null: the curve does not tell. */
  readonly suggested_lr: number | null;
  readonly falling_lr: number | null;
  readonly lowest_lr: number | null;
  readonly rising_lr: number | null;
  readonly message: string;
  readonly curve: RatePoint[];
}

const MOST_LEVELS = 100;
/** To either side, in decades of rates and at least in levels. */
const WINDOW_DECADES = 0.5;
const LEAST_WINDOW = 4;
/** The suggestion lies below the middle by this factor. */
const MARGIN = 5;
const SIGNIFICANT = 4;
/** The test ends when the loss is so many times the lowest above it, and above the first. */
const BLOWN_UP = 3;
/** The least number of steps that the loss is averaged over to see this. */
const LEAST_STEPS = 10;

/** A number of the smooth curve. */
interface Fitted {
  readonly value: number;
  /** The standard error, in units of the deviation of a level. */
  readonly error: number;
}

export class RangeTest {
  readonly #kernels: Pick<Kernels, "log">;
  readonly #range: RateRange;
  readonly #levels: { sum: number; rates: number; steps: number }[] = [];
  /** The rate of the last step. */
  #rate = 0;
  #steps = 0;
  /** The running mean of the losses, and its first and lowest values. */
  #mean = 0;
  #first = Number.NaN;
  #lowest = Infinity;
  #blownUp = false;

  constructor(kernels: Pick<Kernels, "log">, range: RateRange) {
    this.#kernels = kernels;
    this.#range = range;
  }

  /** Null unless the schedule is a test. */
  static of(kernels: Pick<Kernels, "log">, schedule: Schedule): RangeTest | null {
    const range = scheduleType(schedule).tests?.(schedule);
    return range ? new RangeTest(kernels, range) : null;
  }

  /** Takes the loss before a step, and the rate of the step. True: the test is over. */
  add(loss: number, lr: number): boolean {
    if (Number.isFinite(loss)) this.#note(loss);
    else this.#blownUp = true;
    this.#rate = lr;
    this.#steps++;
    return this.#blownUp || this.#steps >= this.#range.steps;
  }

  #note(loss: number): void {
    const { steps } = this.#range;
    this.#follow(loss, Math.max(LEAST_STEPS, steps / 30));
    // The first loss is not the doing of a rate.
    if (this.#steps === 0) return;
    const levels = Math.min(MOST_LEVELS, steps - 1);
    const level = Math.floor(((this.#steps - 1) * levels) / (steps - 1));
    this.#levels[level] ??= { sum: 0, rates: 0, steps: 0 };
    const here = this.#levels[level];
    here.sum += loss;
    here.rates += this.#rate;
    here.steps++;
  }

  /** Sees whether the loss has blown up, by its mean over about so many steps. */
  #follow(loss: number, over: number): void {
    this.#mean += (loss - this.#mean) / Math.min(this.#steps + 1, over);
    if (this.#steps + 1 < over) return;
    if (Number.isNaN(this.#first)) this.#first = this.#mean;
    this.#lowest = Math.min(this.#lowest, this.#mean);
    const bound = Math.max(this.#first, this.#lowest + BLOWN_UP * Math.abs(this.#lowest));
    this.#blownUp = this.#mean > bound;
  }

  result(): RangeTestResult {
    const points = this.#levels.map(({ sum, rates, steps }) => ({ lr: rates / steps, loss: sum / steps }));
    const fitted = this.#fit(points.map(({ loss }) => loss));
    const curve = points.map((point, i) => ({ ...point, smoothed: fitted[i].value }));
    const none = { suggested_lr: null, falling_lr: null, lowest_lr: null, rising_lr: null, curve };
    const lowest = fitted.reduce((best, { value }, i) => (value < fitted[best].value ? i : best), 0);
    if (!isFall(points.slice(0, lowest + 1), fitted[0], fitted[lowest])) return { ...none, message: NO_FALL };
    const half = (fitted[0].value + fitted[lowest].value) / 2;
    const falling = curve[fitted.findIndex(({ value }) => value <= half)].lr;
    const rises = fitted.findIndex(({ value }, i) => i > lowest && value >= half);
    const known = { ...none, falling_lr: falling, lowest_lr: curve[lowest].lr };
    if (rises === -1 && !this.#blownUp) return { ...known, message: NO_RISE };
    const rising = rises === -1 ? this.#rate : curve[rises].lr;
    const suggested = Number((Math.sqrt(falling * rising) / MARGIN).toPrecision(2));
    const message = `Half of the fall of the loss is reached at ${short(falling)} and lost again at ${short(rising)}.`;
    return { ...known, suggested_lr: suggested, rising_lr: rising, message };
  }

  #fit(losses: readonly number[]): Fitted[] {
    const { from, to } = this.#range;
    const decades = this.#kernels.log(to / from) / Math.LN10;
    const window = Math.max(LEAST_WINDOW, (WINDOW_DECADES * MOST_LEVELS) / decades);
    return losses.map((_, at) => localLine(losses, at, window));
  }
}

const NO_FALL =
  "The loss did not fall by more than its noise: give the test more steps, larger batches or other rates.";
const NO_RISE = "The loss had not risen again at the last rate: raise end_lr.";

const short = (rate: number): string => String(Number(rate.toPrecision(2)));

/** The value at `at` of the straight line through the losses around it. */
function localLine(losses: readonly number[], at: number, window: number): Fitted {
  const first = Math.max(0, Math.ceil(at - window));
  const last = Math.min(losses.length - 1, Math.floor(at + window));
  let [weights, moment, square] = [0, 0, 0];
  const weightOf = (i: number) => {
    const near = Math.abs(i - at) / (window + 1);
    const weight = 1 - near * near * near;
    return weight * weight * weight;
  };
  for (let i = first; i <= last; i++) {
    weights += weightOf(i);
    moment += weightOf(i) * (i - at);
    square += weightOf(i) * (i - at) * (i - at);
  }
  const determinant = weights * square - moment * moment;
  let [value, error] = [0, 0];
  for (let i = first; i <= last; i++) {
    const share = determinant > 0 ? (weightOf(i) * (square - moment * (i - at))) / determinant : 1 / weights;
    value += share * losses[i];
    error += share * share;
  }
  return { value, error: Math.sqrt(error) };
}

/** Whether a fall is more than chance. The noise is that of neighbouring levels. */
function isFall(points: readonly { readonly loss: number }[], from: Fitted, to: Fitted): boolean {
  if (points.length <= 2 * LEAST_WINDOW) return false;
  const steps = points.slice(1).map(({ loss }, i) => Math.abs(loss - points[i].loss));
  const median = steps.sort((a, b) => a - b)[Math.floor(steps.length / 2)];
  // For normal numbers: the median of |x| is 0.6745 deviations, and a difference has two of them.
  const deviation = median / 0.6745 / Math.SQRT2;
  return from.value - to.value > SIGNIFICANT * deviation * Math.hypot(from.error, to.error);
}
