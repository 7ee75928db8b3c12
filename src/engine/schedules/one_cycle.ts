import type { Kernels } from "../kernels/kernels.ts";
import { defineSchedule } from "./schedule.ts";

/**
 * With max_lr = 0.1 and total_steps = 100: from 0.004 up to 0.1 at t = 29, then down to 0.0000004
 * at 99; the momentum falls from 0.95 to 0.85 and rises again. In three phases the rate comes down
 * to where it started as fast as it rose, and only then goes on to the end. PyTorch refuses a step
 * after total_steps; here the last rate stays.
 *
 * Smith & Topin, "Super-convergence: very fast training of neural networks using large learning
 * rates", 2018 (arXiv:1708.07120).
 */
export const one_cycle = defineSchedule({
  type: "one_cycle",
  summary:
    "One rise to a high rate and one long fall, over the whole training; max_lr takes the place of the optimizer's lr.",
  formula:
    "max_lr/div_factor → max_lr at pct_start·total_steps − 1 → max_lr/(div_factor·final_div_factor) at total_steps − 1",
  source: "Smith & Topin 2018, arXiv:1708.07120; torch.optim.lr_scheduler.OneCycleLR",
  options: {
    max_lr: { kind: "number", min: 0, doc: "The highest rate." },
    total_steps: {
      kind: "integer",
      default: null,
      whole: true,
      min: 1,
      doc: "Steps (or epochs) of the whole cycle. Null: the whole training.",
    },
    pct_start: { kind: "number", default: 0.3, min: 0, max: 1, doc: "The share of the cycle in which the rate rises." },
    anneal_strategy: {
      kind: "choice",
      choices: ["cos", "linear"],
      default: "cos",
      doc: "Along a cosine or in straight lines.",
    },
    cycle_momentum: {
      kind: "boolean",
      default: true,
      doc: "Move the momentum (of Adam and its kin: beta1) the other way.",
    },
    base_momentum: { kind: "number", default: 0.85, min: 0, below: 1, doc: "The momentum at the peak." },
    max_momentum: { kind: "number", default: 0.95, min: 0, below: 1, doc: "The momentum at both ends." },
    div_factor: { kind: "number", default: 25, above: 0, doc: "max_lr over the first rate." },
    final_div_factor: { kind: "number", default: 1e4, above: 0, doc: "The first rate over the last." },
    three_phase: {
      kind: "boolean",
      default: false,
      doc: "Fall to the first rate as fast as it rose, then to the last.",
    },
  },
  ownRates: true,
  setsRate: () => true,
  check: ({ three_phase, pct_start }) =>
    three_phase && pct_start > 0.5
      ? [
          {
            option: "pct_start",
            message: "must be at most 0.5 with three_phase: the rise and the fall take as long each",
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
 * The value at time t of what moves through `levels`, one phase between two of them. The ends of
 * phases may lie between steps.
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
