import type { Member } from "../settings.ts";
import { milestonesPassed } from "./milestones.ts";
import { defineSchedule } from "./schedule.ts";

/**
 * With schedulers = [linear from 0.1 over 10, cosine_annealing with t_max 90] and milestones =
 * [10]: a warm-up, then a cosine that starts at t = 10.
 */
export const sequential = defineSchedule({
  type: "sequential",
  summary: "One schedule after another. Each starts from its own beginning.",
  formula: "schedulers[k](t − milestones[k−1]) from milestones[k−1] on",
  source: "torch.optim.lr_scheduler.SequentialLR",
  options: {
    schedulers: { kind: "members", of: "schedules", doc: "The schedules, in order." },
    milestones: {
      kind: "integers",
      length: null,
      min: 1,
      doc: "The steps (or epochs) at which the second and later schedules begin, ascending.",
    },
  },
  check({ schedulers, milestones }) {
    if (milestones.length !== schedulers.length - 1)
      return [
        {
          option: "milestones",
          message: `must be one fewer than schedulers, ${schedulers.length - 1}, not ${milestones.length}`,
        },
      ];
    if (milestones.some((milestone, i) => i > 0 && milestone <= milestones[i - 1]))
      return [{ option: "milestones", message: "must ascend" }];
    return [];
  },
  setsRate: ({ schedulers }, typeOf) => schedulers.some((part) => typeOf(part).setsRate?.(part, typeOf)),
  ends: ({ milestones }) => ({ at: milestones[milestones.length - 1] ?? 0, option: "milestones", after: null }),
  partSpans: ({ schedulers, milestones }, span) =>
    schedulers.map((_, i) => (milestones[i] ?? span) - (i === 0 ? 0 : milestones[i - 1])),
  rate(options, at) {
    const { member, since } = current(options, at.t);
    return at.rateOf(member, since);
  },
  momentum(options, at) {
    const { member, since } = current(options, at.t);
    return at.momentumOf(member, since);
  },
});

/** The schedule that is active at time t, and the time since its start. */
function current(
  { schedulers, milestones }: { readonly schedulers: readonly Member[]; readonly milestones: readonly number[] },
  t: number,
): { member: Member; since: number } {
  const begun = milestonesPassed(milestones, t);
  return { member: schedulers[begun], since: begun === 0 ? t : t - milestones[begun - 1] };
}
