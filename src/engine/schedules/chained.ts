import type { OptionFault } from "../member/options.ts";
import { defineSchedule } from "./schedule.ts";
import type { Member } from "../settings.ts";

/**
 * With schedulers = [constant_factor 0.1 over 20, exponential 0.98]: lr · 0.1 · 0.98^t for t < 20,
 * then lr · 0.98^t.
 *
 * PyTorch applies the recursion of each scheduler to the result of the one before. That is the
 * product of their factors if each multiplies by one. If a part does not (it has a lowest rate, or
 * sets the rate), the result would depend on the order of updates. Such parts are refused.
 */
export const chained = defineSchedule({
  type: "chained",
  summary: "Several schedules at once: lr times the factor of each.",
  formula: "lr · Π schedulers[k](t)/lr",
  source: "torch.optim.lr_scheduler.ChainedScheduler",
  options: { schedulers: { kind: "members", of: "schedules", doc: "The schedules." } },
  check: ({ schedulers }, typeOf) =>
    schedulers.flatMap((part, i) => (typeOf(part).setsRate?.(part, typeOf) ? [factorFault(part, i)] : [])),
  rate: ({ schedulers }, at) =>
    schedulers.reduce((rate, member) => (at.base === 0 ? 0 : rate * (at.rateOf(member, at.t) / at.base)), at.base),
});

function factorFault(part: Member, i: number): OptionFault {
  const unless = "eta_min" in part ? " unless its eta_min is 0" : "";
  return {
    option: `schedulers/${i}`,
    message: `must multiply lr by a factor to be chained; ${part.type} sets the rate itself${unless}`,
  };
}
