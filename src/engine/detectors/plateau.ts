import { gradientFade, wholeModel } from "../watch/observer.ts";
import { whyTooFast, type Cause } from "./causes.ts";
import { defineDetector } from "./detector.ts";
import type { RunFacts } from "./facts.ts";
import { short } from "./short.ts";

/** Updates below this share of the weights explain why the loss does not move. */
const SMALL_UPDATES = 1e-4;

/** If the loss reached this multiple of its first value, too large steps took it there. */
const TOO_HIGH = 1.2;

/** The default `ratio` of vanishing_gradient. */
const FADED = 1e-4;

/** The weight of the newest window in the average of all. */
const NEWEST_SHARE = 0.3;

interface State {
  readonly lowest: number;
  readonly highest: number;
  readonly windows: number;
  /** Number of windows that lowered the average. */
  readonly falls: number;
  /** Moving average of the windows' losses. */
  readonly smooth: number;
  /** The update ratio of the last observation; null if there was none. */
  readonly updateRatio: number | null;
  readonly dead: boolean;
  /** Whether hardly any gradient reached the first layer. */
  readonly faded: boolean;
}

/**
 * A run that learned and then stands still has converged. This detector finds runs that never
 * learned.
 */
export const plateau = defineDetector({
  type: "plateau",
  summary: "The train loss has hardly fallen since the start.",
  formula: "lowest moving average of the loss > (1 − min_drop) · start once the part `after` of all steps is done",
  source: "a loss that has not moved by half of the training will not by its end",
  needs: "losses",
  fromScratch: true,
  options: {
    after: { kind: "number", default: 0.5, above: 0, max: 1, doc: "Share of all steps after which it judges." },
    min_drop: { kind: "number", default: 0.05, above: 0, below: 1, doc: "Share by which the loss should have fallen." },
  },
  watch({ after, min_drop }, state: State | null, reading, run) {
    const before = state ?? {
      lowest: reading.start,
      highest: reading.start,
      windows: 0,
      falls: 0,
      smooth: reading.start,
      updateRatio: null,
      dead: false,
      faded: false,
    };
    if (reading.kind === "observations") {
      const { updateNorm, weightNorm, units, deadUnits } = wholeModel(reading.layers);
      const ratio = updateNorm / weightNorm;
      const updateRatio = Number.isFinite(ratio) ? ratio : before.updateRatio;
      return {
        state: { ...before, updateRatio, dead: deadUnits > units / 2, faded: gradientFade(reading.layers) < FADED },
        found: null,
      };
    }
    if (reading.kind !== "losses") return { state: before, found: null };
    const { mean, step, start } = reading;
    // The first loss is known after the first window. Earlier readings do not have it.
    const from = before.windows === 0 ? { lowest: start, highest: start, smooth: start } : before;
    const smooth = from.smooth + NEWEST_SHARE * (mean - from.smooth);
    const seen = {
      ...before,
      smooth,
      lowest: Math.min(from.lowest, smooth),
      highest: Math.max(from.highest, mean),
      windows: before.windows + 1,
      falls: before.falls + Number(smooth < from.smooth),
    };
    const stuck = step >= after * run.totalSteps && seen.windows > 2 && seen.lowest > (1 - min_drop) * start;
    if (!stuck) return { state: seen, found: null };
    const drop = 1 - seen.lowest / start;
    return {
      state: seen,
      found: {
        cause: why(seen, start, run),
        seen: `In ${step} steps the loss has ${drop > 0 ? `fallen by ${short(drop * 100)} %` : "not fallen"} from the ${short(start)} that it began with`,
        data: { start, drop },
      },
    };
  },
});

function why({ highest, windows, falls, updateRatio, dead, faded }: State, start: number, run: RunFacts): Cause {
  if (highest > TOO_HIGH * start) return whyTooFast(run);
  if (dead) return "dead_units";
  if (run.featuresUnscaled) return "features_unscaled";
  if (run.targetsUnscaled) return "targets_unscaled";
  if (faded) return "saturating_activations";
  // A loss that falls in every window goes the right way, but too slowly.
  const slow = falls >= 0.8 * windows || (updateRatio !== null && updateRatio < SMALL_UPDATES);
  return slow ? "learning_rate_too_low" : "not_learning";
}
