import { whyTooFast } from "./causes.ts";
import { defineDetector } from "./detector.ts";
import { short } from "./short.ts";

/** Batches below this size are the most likely reason. */
const SMALL_BATCH = 16;

/**
 * If the loss has fallen below this share of its first value, nearly all of it comes from a few
 * hard rows, which is not a fault.
 */
const LEARNED = 0.3;

interface State {
  readonly streak: number;
}

/** McCandlish et al., "An empirical model of large-batch training", 2018 (arXiv:1812.06162). */
export const noisy_loss = defineDetector({
  type: "noisy_loss",
  summary: "The train loss varies from step to step by about its own size.",
  formula:
    "deviation of the steps' losses > ratio · their mean, patience windows in a row, while the loss is above 0.3 of its start",
  source: "McCandlish et al. 2018, arXiv:1812.06162",
  needs: "losses",
  options: {
    ratio: { kind: "number", default: 0.75, above: 0, doc: "Share of the mean loss that is too large a deviation." },
    patience: { kind: "integer", default: 5, min: 1, doc: "Number of windows in a row that must show it." },
  },
  watch({ ratio, patience }, state: State | null, reading, run) {
    const before = state ?? { streak: 0 };
    if (reading.kind !== "losses") return { state: before, found: null };
    const { mean, deviation, step, start } = reading;
    const streak = deviation > ratio * mean && mean > LEARNED * start ? before.streak + 1 : 0;
    if (streak < patience) return { state: { streak }, found: null };
    return {
      state: { streak },
      found: {
        cause: run.stepRows < SMALL_BATCH ? "batch_too_small" : whyTooFast(run),
        seen: `The losses of the steps up to ${step} deviate by ${short(deviation)} from their mean of ${short(mean)}`,
        data: { mean, deviation },
      },
    };
  },
});
