import { wholeModel } from "../watch/observer.ts";
import { whyTooFast } from "./causes.ts";
import { defineDetector } from "./detector.ts";
import { short } from "./short.ts";

/**
 * Small steps are a fault while the loss is between these multiples of its first value. Below them
 * learning is near its end. Above them the weights have become so large that any step is small in
 * comparison.
 */
const STUCK = [0.7, 1.2] as const;

interface State {
  readonly low: number;
  readonly high: number;
}

/**
 * A ratio of about a thousandth is usual. A small one is a fault only while there is much to learn,
 * and only if neither the schedule nor the optimizer wants small steps.
 */
export const update_ratio_out_of_range = defineDetector({
  type: "update_ratio_out_of_range",
  summary: "A step changes the weights by far more or far less than a thousandth of their size.",
  formula: "‖update‖/‖weights‖ outside min … max, patience observations in a row",
  source: "a rule of thumb; Karpathy, CS231n, “Ratio of weights:updates”",
  needs: "observations",
  options: {
    min: { kind: "number", default: 1e-5, min: 0, doc: "Smallest usual ratio." },
    max: { kind: "number", default: 0.3, above: 0, doc: "Largest usual ratio." },
    patience: { kind: "integer", default: 3, min: 1, doc: "Number of observations in a row that must show it." },
  },
  watch({ min, max, patience }, state: State | null, reading, run) {
    const before = state ?? { low: 0, high: 0 };
    if (reading.kind !== "observations") return { state: before, found: null };
    const { updateNorm, weightNorm } = wholeModel(reading.layers);
    const ratio = updateNorm / weightNorm;
    const height = reading.loss / reading.start;
    const stuck = height > STUCK[0] && height < STUCK[1];
    const atRate = reading.step > run.warmupSteps && reading.learningRate >= run.baseRate / 10;
    const after = {
      low: ratio < min && stuck && atRate && !run.findsRate ? before.low + 1 : 0,
      high: ratio > max ? before.high + 1 : 0,
    };
    if (Math.max(after.low, after.high) < patience) return { state: after, found: null };
    return {
      state: after,
      found: {
        cause: after.high >= patience ? whyTooFast(run) : "learning_rate_too_low",
        seen: `Step ${reading.step} changed the weights by ${short(ratio)} times their size`,
        data: { update_ratio: ratio },
      },
    };
  },
});
