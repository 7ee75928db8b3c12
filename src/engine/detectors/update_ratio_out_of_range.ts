import { wholeModel } from "../watch/observer.ts";
import { whyTooFast } from "./causes.ts";
import { defineDetector, short } from "./detector.ts";

/**
 * Small steps are a fault while the loss is between these multiples of its start. Below, learning
 * is near its end. Above, the weights have become so large that any step is small in comparison.
 */
const STUCK = [0.7, 1.2] as const;

interface State {
  readonly low: number;
  readonly high: number;
}

/**
 * About a thousandth is usual. A small one counts only while there is much to learn and neither the
 * schedule nor the optimizer asks for it.
 */
export const update_ratio_out_of_range = defineDetector({
  type: "update_ratio_out_of_range",
  summary: "A step changes the weights by far more, or far less, than their thousandth part.",
  formula: "‖update‖/‖weights‖ outside min … max, patience observations in a row",
  source: "a rule of thumb; Karpathy, CS231n, “Ratio of weights:updates”",
  needs: "observations",
  options: {
    min: { kind: "number", default: 1e-5, min: 0, doc: "The least that is usual." },
    max: { kind: "number", default: 0.3, above: 0, doc: "The most that is usual." },
    patience: { kind: "integer", default: 3, min: 1, doc: "For how many observations in a row." },
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
