import { milestonesPassed } from "./milestones.ts";
import { defineSchedule } from "./schedule.ts";

/**
 * With lr = 0.1, milestones = [0, 10, 20] and factors = [0, 1, 0.5]: straight lines from 0 to 0.1
 * at t = 10 and to 0.05 at 20, which then stays. With interpolation "constant" each factor holds
 * until the next milestone.
 */
export const piecewise = defineSchedule({
  type: "piecewise",
  summary: "Any curve: chosen multiples of lr at chosen times, constant or interpolated in between.",
  formula: "lr · factor, where factor goes through (milestones[i], factors[i])",
  source: "optax.piecewise_interpolate_schedule; keras.optimizers.schedules.PiecewiseConstantDecay",
  options: {
    milestones: { kind: "integers", length: null, min: 0, doc: "Steps (or epochs), ascending." },
    factors: {
      kind: "numbers",
      length: null,
      min: 0,
      doc: "Factors of lr at the milestones. The first also holds before its milestone, the last after its own.",
    },
    interpolation: {
      kind: "choice",
      choices: ["constant", "linear", "cosine"],
      default: "constant",
      doc: "How the rate goes from one milestone to the next.",
    },
  },
  check({ milestones, factors }) {
    const pairs = `as many as milestones (${milestones.length})`;
    if (milestones.length === 0) return [{ option: "milestones", message: "must have at least 1 item" }];
    if (milestones.some((milestone, i) => i > 0 && milestone <= milestones[i - 1]))
      return [{ option: "milestones", message: "must ascend" }];
    return factors.length === milestones.length
      ? []
      : [{ option: "factors", message: `must be ${pairs}, not ${factors.length}` }];
  },
  ends: ({ milestones }) => ({ at: milestones[milestones.length - 1] ?? 0, option: "milestones", after: null }),
  rate({ milestones, factors, interpolation }, { kernels, base, t }) {
    const next = milestonesPassed(milestones, t);
    if (next === 0) return base * factors[0];
    if (next === milestones.length) return base * factors[factors.length - 1];
    const [from, to] = [factors[next - 1], factors[next]];
    const x = (t - milestones[next - 1]) / (milestones[next] - milestones[next - 1]);
    const share = { constant: 0, linear: x, cosine: (1 - kernels.cos(Math.PI * x)) / 2 }[interpolation];
    return base * (from + (to - from) * share);
  },
});
