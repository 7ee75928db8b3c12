import type { Kernels } from "../kernels/kernels.ts";
import { defineSchedule } from "./schedule.ts";

/**
 * With base_lr = 0.1, max_lr = 0.5 and step_size_up = 4: 0.1, 0.2, 0.3, 0.4, 0.5, 0.4, 0.3, 0.2,
 * 0.1, … In triangular2 the second peak is 0.3 and the third is 0.2. In exp_range the height is
 * multiplied by gamma at every step. The momentum moves the other way: it is max_momentum at
 * base_lr and base_momentum at the peak.
 *
 * Smith, "Cyclical learning rates for training neural networks", WACV 2017 (arXiv:1506.01186).
 */
export const cyclic = defineSchedule({
  type: "cyclic",
  summary: "The rate rises and falls in triangles between two bounds, which replace the lr of the optimizer.",
  formula: "base_lr + (max_lr − base_lr) · triangle(t) · height; height 1, 2^−cycle or gamma^t",
  source: "Smith 2017, arXiv:1506.01186; torch.optim.lr_scheduler.CyclicLR",
  options: {
    base_lr: { kind: "number", min: 0, doc: "Lower bound: each cycle starts and ends here." },
    max_lr: { kind: "number", min: 0, doc: "Upper bound." },
    step_size_up: { kind: "integer", default: 2000, min: 1, doc: "Steps (or epochs) in which the rate rises." },
    step_size_down: {
      kind: "integer",
      default: null,
      min: 1,
      doc: "Steps (or epochs) in which the rate falls; null: as many as step_size_up.",
    },
    mode: {
      kind: "choice",
      choices: ["triangular", "triangular2", "exp_range"],
      default: "triangular",
      doc: "Height of the cycles: constant, halved after each cycle, or multiplied by gamma at every step.",
    },
    gamma: { kind: "number", default: 1, min: 0, doc: "Factor per step in exp_range." },
    cycle_momentum: {
      kind: "boolean",
      default: true,
      doc: "Move the momentum (in Adam and similar: beta1) the other way.",
    },
    base_momentum: { kind: "number", default: 0.8, min: 0, below: 1, doc: "Momentum where the rate is highest." },
    max_momentum: { kind: "number", default: 0.9, min: 0, below: 1, doc: "Momentum where the rate is lowest." },
  },
  ownRates: true,
  setsRate: () => true,
  check: ({ base_lr, max_lr }) =>
    max_lr < base_lr ? [{ option: "max_lr", message: `must be at least base_lr (${base_lr})` }] : [],
  ends: ({ step_size_up }) => ({ at: step_size_up, option: "step_size_up", after: null }),
  rate: (options, { kernels, t }) => options.base_lr + (options.max_lr - options.base_lr) * height(kernels, options, t),
  momentum: (options, { kernels, t }) =>
    options.cycle_momentum
      ? options.max_momentum - (options.max_momentum - options.base_momentum) * height(kernels, options, t)
      : null,
});

interface Cycles {
  readonly step_size_up: number;
  readonly step_size_down: number | null;
  readonly mode: string;
  readonly gamma: number;
}

/** From 0 at base_lr to at most 1 at the peak. */
function height(kernels: Kernels, { step_size_up: up, step_size_down, mode, gamma }: Cycles, t: number): number {
  const length = up + (step_size_down ?? up);
  const cycle = Math.floor(t / length);
  const since = t - cycle * length;
  const triangle = since <= up ? since / up : (length - since) / (length - up);
  if (mode === "triangular2") return triangle * kernels.pow(2, -cycle);
  return mode === "exp_range" ? triangle * kernels.pow(gamma, t) : triangle;
}
