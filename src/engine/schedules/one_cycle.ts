import type { Kernels } from "../kernels/kernels.ts";
import { defineSchedule } from "./schedule.ts";

/**
 * With max_lr = 0.1 and total_steps = 100: from 0.004 up to 0.1 at t = 29, then down to 0.0000004
 * at 99; The momentum falls from 0.95 to 0.85 and rises again. With three_phase the rate falls to
 * its first value as fast as it rose, and then on to the last. PyTorch refuses a step after
 * total_steps; here the last rate stays.
 *
 * Smith & Topin, "Super-convergence: very fast training of neural networks using large learning
 * rates", 2018 (arXiv:1708.07120).
 */
export const one_cycle = defineSchedule({
  type: "one_cycle",
  summary:
    "One rise to a high rate and one long fall, over the whole training. max_lr replaces the lr of the optimizer.",
  formula:
    "max_lr/div_factor → max_lr at pct_start·total_steps − 1 → max_lr/(div_factor·final_div_factor) at total_steps − 1",
  source: "Smith & Topin 2018, arXiv:1708.07120; torch.optim.lr_scheduler.OneCycleLR",
  options: {
    max_lr: { kind: "number", min: 0, doc: "Highest rate." },
    total_steps: {
      kind: "integer",
      default: null,
      whole: true,
      min: 1,
      doc: "Steps (or epochs) of the whole cycle. Null: the whole training.",
    },
    pct_start: { kind: "number", default: 0.3, min: 0, max: 1, doc: "Share of the cycle in which the rate rises." },
    anneal_strategy: {
      kind: "choice",
      choices: ["cos", "linear"],
      default: "cos",
      doc: "Whether the rate moves along a cosine or in straight lines.",
    },
    cycle_momentum: {
      kind: "boolean",
      default: true,
      doc: "Move the momentum (in Adam and similar: beta1) the other way.",
    },
    base_momentum: { kind: "number", default: 0.85, min: 0, below: 1, doc: "Momentum where the rate is highest." },
    max_momentum: { kind: "number", default: 0.95, min: 0, below: 1, doc: "Momentum at both ends." },
    div_factor: { kind: "number", default: 25, above: 0, doc: "The first rate is max_lr divided by this." },
    final_div_factor: { kind: "number", default: 1e4, above: 0, doc: "The last rate is the first divided by this." },
    three_phase: {
      kind: "boolean",
      default: false,
      doc: "Let the rate fall to its first value as fast as it rose, and then to the last.",
    },
  },
  ownRates: true,
  setsRate: () => true,
  check: ({ three_phase, pct_start }) =>
    three_phase && pct_start > 0.5
      ? [
          {
            option: "pct_start",
            message: "must be at most 0.5 with three_phase, because the rise and the fall each take this share",
          },
        ]
      : [],
  ends: ({ total_steps }) => ({ at: total_steps, option: "total_steps", after: "the rate stays at its lowest" }),
  rate(options, { kernels, t }) {
    const { max_lr: peak } = options;
    const first = peak / options.div_factor;
    const last = first / options.final_div_factor;
    return anneal(kernels, options, t, options.three_phase ? [first, peak, first, last] : [first, peak, last]);
  },
  momentum(options, { kernels, t }) {
    if (!options.cycle_momentum) return null;
    const { base_momentum: low, max_momentum: high } = options;
    return anneal(kernels, options, t, options.three_phase ? [high, low, high, high] : [high, low, high]);
  },
});

interface Cycle {
  readonly total_steps: number;
  readonly pct_start: number;
  readonly anneal_strategy: string;
  readonly three_phase: boolean;
}

/**
 * The value at time t of a quantity that goes from each of the `levels` to the next, in one phase
 * each. Phases may end between two steps.
 */
function anneal(kernels: Kernels, cycle: Cycle, t: number, levels: readonly number[]): number {
  const rise = cycle.pct_start * cycle.total_steps;
  const ends = [0, rise - 1, ...(cycle.three_phase ? [2 * rise - 2] : []), cycle.total_steps - 1];
  let phase = 1;
  while (phase < ends.length - 1 && t > ends[phase]) phase++;
  const span = ends[phase] - ends[phase - 1];
  const share = span === 0 ? 1 : Math.min(1, (t - ends[phase - 1]) / span);
  const [from, to] = [levels[phase - 1], levels[phase]];
  if (cycle.anneal_strategy === "linear") return from + (to - from) * share;
  return to + ((from - to) / 2) * (1 + kernels.cos(Math.PI * share));
}
