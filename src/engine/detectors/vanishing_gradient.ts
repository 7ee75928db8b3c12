import { gradientFade } from "../watch/observer.ts";
import { defineDetector } from "./detector.ts";
import { short } from "./short.ts";

interface State {
  readonly streak: number;
}

/**
 * Per weight, the gradient of the first layer that learns is a tiny share of that of the last. If
 * units are dead, that is the cause, and dead_relu reports it.
 *
 * Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural networks",
 * AISTATS 2010.
 */
export const vanishing_gradient = defineDetector({
  type: "vanishing_gradient",
  summary: "Hardly any gradient reaches the first layers.",
  formula: "rms gradient of the first layer < ratio · rms gradient of the last, patience observations in a row",
  source: "Glorot & Bengio 2010",
  needs: "observations",
  options: {
    ratio: {
      kind: "number",
      default: 1e-4,
      above: 0,
      below: 1,
      doc: "Share of the last layer's gradient that is too little.",
    },
    patience: { kind: "integer", default: 3, min: 1, doc: "Number of observations in a row that must show it." },
  },
  watch({ ratio, patience }, state: State | null, reading, run) {
    const before = state ?? { streak: 0 };
    if (reading.kind !== "observations") return { state: before, found: null };
    const part = gradientFade(reading.layers);
    const dead = reading.layers.some(({ units, deadUnits }) => units > 0 && deadUnits > units / 2);
    const streak = part < ratio && !dead ? before.streak + 1 : 0;
    if (streak < patience) return { state: { streak }, found: null };
    return {
      state: { streak },
      found: {
        cause: run.featuresUnscaled ? "features_unscaled" : "saturating_activations",
        seen: `At step ${reading.step} the gradient of a weight in the first layer was ${short(part)} times that of one in the last`,
        data: { ratio: part },
      },
    };
  },
});
