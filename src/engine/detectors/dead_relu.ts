import { ENOUGH_ROWS } from "../watch/observer.ts";
import { defineDetector } from "./detector.ts";
import { short } from "./short.ts";

interface State {
  readonly streak: number;
}

/**
 * Lu et al., "Dying ReLU and initialization: theory and numerical examples", 2019
 * (arXiv:1903.06733).
 */
export const dead_relu = defineDetector({
  type: "dead_relu",
  summary: "Most units of a layer give 0 for every row of the batch, so they learn nothing.",
  formula: "dead units of a layer > fraction · its units, patience observations in a row; batches of at least 16 rows",
  source: "Lu et al. 2019, arXiv:1903.06733",
  needs: "observations",
  options: {
    fraction: {
      kind: "number",
      default: 0.7,
      above: 0,
      below: 1,
      doc: "Share of dead units in a layer that is too much.",
    },
    patience: { kind: "integer", default: 3, min: 1, doc: "Number of observations in a row that must show it." },
  },
  watch({ fraction, patience }, state: State | null, reading, run) {
    const before = state ?? { streak: 0 };
    if (reading.kind !== "observations" || run.batchRows < ENOUGH_ROWS) return { state: before, found: null };
    const layers = reading.layers.filter(({ units }) => units > 0);
    const worst = layers.toSorted((a, b) => b.deadUnits / b.units - a.deadUnits / a.units).at(0);
    const streak = worst && worst.deadUnits > fraction * worst.units ? before.streak + 1 : 0;
    if (!worst || streak < patience) return { state: { streak }, found: null };
    const part = worst.deadUnits / worst.units;
    return {
      state: { streak },
      found: {
        cause: run.featuresUnscaled ? "features_unscaled" : "dead_units",
        seen: `${part === 1 ? "All" : `${short(part * 100)} % of the`} units of layer ${worst.name} gave 0 for every row of the batch of step ${reading.step}`,
        data: { dead_fraction: part, layer: worst.name },
      },
    };
  },
});
