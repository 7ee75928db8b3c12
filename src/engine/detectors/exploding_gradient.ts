import { wholeModel } from "../watch/observer.ts";
import { whyTooFast, type Cause } from "./causes.ts";
import { defineDetector, type ObservationReading } from "./detector.ts";
import type { RunFacts } from "./facts.ts";
import { short } from "./short.ts";

/** A loss up to this multiple of the first loss still comes from the initial weights. */
const NEAR_START = 3;

/** Number of observations that the gradient norm at the start is averaged over. */
const BASELINE = 3;

interface State {
  readonly seen: number;
  /** Sum of the first `BASELINE` norms. */
  readonly sum: number;
  readonly streak: number;
}

/**
 * Pascanu, Mikolov & Bengio, "On the difficulty of training recurrent neural networks", ICML 2013
 * (arXiv:1211.5063).
 */
export const exploding_gradient = defineDetector({
  type: "exploding_gradient",
  summary: "The gradient is, or has become, very large.",
  formula: "grad_norm > norm, or grad_norm > growth · mean of the first three, patience observations in a row",
  source: "Pascanu et al. 2013, arXiv:1211.5063",
  needs: "observations",
  options: {
    growth: { kind: "number", default: 100, above: 1, doc: "Multiple of the norm at the start that is too much." },
    norm: { kind: "number", default: 1000, above: 0, doc: "Norm that is too much at any time." },
    patience: { kind: "integer", default: 2, min: 1, doc: "Number of observations in a row that must show it." },
  },
  watch({ growth, norm: limit, patience }, state: State | null, reading, run) {
    const before = state ?? { seen: 0, sum: 0, streak: 0 };
    if (reading.kind !== "observations") return { state: before, found: null };
    const norm = wholeModel(reading.layers).gradientNorm;
    const baseline = before.seen >= BASELINE ? before.sum / BASELINE : null;
    const grown = baseline !== null && norm > growth * baseline;
    const large = !(norm <= limit) || grown;
    const counted = before.seen < BASELINE && Number.isFinite(norm);
    const after = {
      seen: before.seen + Number(counted),
      sum: before.sum + (counted ? norm : 0),
      streak: large ? before.streak + 1 : 0,
    };
    if (after.streak < patience) return { state: after, found: null };
    const from = grown ? `, ${Math.round(norm / baseline)} times that of the first steps` : "";
    return {
      state: after,
      found: {
        cause: why(grown, reading, run),
        seen: `The gradient norm was ${short(norm)} at step ${reading.step}${from}`,
        data: { grad_norm: norm },
      },
    };
  },
});

/**
 * If gradients are large while the loss is still near its first value, the cause is the initial
 * weights.
 */
function why(grown: boolean, { loss, start }: ObservationReading, run: RunFacts): Cause {
  const cause = whyTooFast(run);
  return cause === "learning_rate_too_high" && !grown && loss < NEAR_START * start
    ? "initial_weights_too_large"
    : cause;
}
