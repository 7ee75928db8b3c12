import { wholeModel } from "../watch/observer.ts";
import { whyTooFast } from "./causes.ts";
import { defineDetector } from "./detector.ts";
import { short } from "./short.ts";

interface State {
  /** The lowest mean loss, the last step of its window, and the gradient norm at that time. */
  readonly lowest: number;
  readonly lowestStep: number;
  readonly lowestNorm: number | null;
  readonly norm: number | null;
  /** The largest gradient norm since then. */
  readonly peak: number;
  readonly streak: number;
}

/**
 * The loss has become worse than at the start of the run, and stays so. A loss that is not a number
 * ends the job under every policy except `rewind`.
 */
export const diverging = defineDetector({
  type: "diverging",
  summary: "The train loss has risen above its value at the start of the run.",
  formula: "mean loss − its standard error > factor · start, patience windows in a row",
  source: "a run that gets worse than no training at all does not come back",
  needs: "losses",
  ruinous: true,
  options: {
    factor: { kind: "number", default: 1.5, above: 1, doc: "Multiple of the loss at the start that is too much." },
    patience: { kind: "integer", default: 2, min: 1, doc: "Number of windows in a row that must show it." },
  },
  watch({ factor, patience }, state: State | null, reading, run) {
    const before = state ?? { lowest: reading.start, lowestStep: 0, lowestNorm: null, norm: null, peak: 0, streak: 0 };
    if (reading.kind === "observations") {
      const norm = wholeModel(reading.layers).gradientNorm;
      return {
        state: Number.isFinite(norm) ? { ...before, norm, peak: Math.max(before.peak, norm) } : before,
        found: null,
      };
    }
    if (reading.kind !== "losses") return { state: before, found: null };
    const { mean, step, start } = reading;
    // The losses of small batches vary much, so the mean must exceed the limit by more than chance
    // explains.
    const worse = mean - reading.deviation / Math.sqrt(reading.steps) > factor * start;
    const after = { ...before, streak: worse ? before.streak + 1 : 0 };
    if (mean < before.lowest)
      return { state: { ...after, lowest: mean, lowestStep: step, lowestNorm: before.norm, peak: 0 }, found: null };
    if (after.streak < patience) return { state: after, found: null };
    const growth = before.lowestNorm ? before.peak / before.lowestNorm : 0;
    const meanwhile = growth > 2 ? ` while the gradient norm grew ${Math.round(growth)}-fold` : "";
    return {
      state: after,
      found: {
        cause: whyTooFast(run),
        seen: `The loss rose from ${short(before.lowest)} at step ${before.lowestStep} to ${short(mean)} at step ${step}${meanwhile}`,
        data: { lowest: before.lowest, lowest_step: before.lowestStep, loss: mean },
      },
    };
  },
});
