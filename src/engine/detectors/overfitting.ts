import { defineDetector } from "./detector.ts";
import { short } from "./short.ts";

/** A rise below this share of the first loss is noise. */
const NOISE = 0.1;

interface State {
  readonly best: number;
  readonly bestStep: number;
  /** The train loss at that time. If it has risen as well, the fault is not overfitting. */
  readonly trainLossThen: number;
  readonly streak: number;
}

export const overfitting = defineDetector({
  type: "overfitting",
  summary: "The validation loss rises while the train loss is well below it.",
  formula:
    "valid_loss > (1 + rise) · its lowest, train_loss < valid_loss/2 and below what it was then, patience evaluations in a row",
  source: "Prechelt, “Early stopping – but when?”, 1998",
  needs: "evaluations",
  options: {
    rise: {
      kind: "number",
      default: 0.2,
      above: 0,
      doc: "Share by which the validation loss may rise above its lowest value.",
    },
    patience: { kind: "integer", default: 5, min: 1, doc: "Number of evaluations in a row that must show it." },
  },
  watch({ rise, patience }, state: State | null, reading) {
    const before = state ?? { best: Number.MAX_VALUE, bestStep: 0, trainLossThen: 0, streak: 0 };
    if (reading.kind !== "evaluations") return { state: before, found: null };
    const { validLoss, trainLoss, step, start } = reading;
    if (validLoss < before.best) {
      return { state: { best: validLoss, bestStep: step, trainLossThen: trainLoss, streak: 0 }, found: null };
    }
    const rising = validLoss - before.best > Math.max(rise * before.best, NOISE * start);
    const apart = trainLoss < Math.min(before.trainLossThen, validLoss / 2);
    const after = { ...before, streak: rising && apart ? before.streak + 1 : 0 };
    if (after.streak < patience) return { state: after, found: null };
    return {
      state: after,
      found: {
        cause: "overfitting",
        seen: `The validation loss rose from ${short(before.best)} at step ${before.bestStep} to ${short(validLoss)} at step ${step}, where the train loss was ${short(trainLoss)}`,
        data: { best: before.best, best_step: before.bestStep, valid_loss: validLoss, train_loss: trainLoss },
      },
    };
  },
});
