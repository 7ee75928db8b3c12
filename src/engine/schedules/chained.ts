import type { Member, OptionFault } from "../member/options.ts";
import { defineSchedule } from "./schedule.ts";

/**
 * With schedulers = [constant_factor 0.1 over 20, exponential 0.98]: lr · 0.1 · 0.98^t for t < 20,
 * then lr · 0.98^t.
 *
 * PyTorch applies each scheduler's own recursion to what the one before has left, which is the
 * product of their factors wherever each has one. Where one has not (a lowest rate, a rate that is
 * set), what would come out depends on the order of updates; such parts are refused.
 */
export const chained = defineSchedule({
  type: "chained",
  summary: "Several schedules at once: lr times the factor of each.",
  formula: "lr · Π schedulers[k](t)/lr",
  source: "torch.optim.lr_scheduler.ChainedScheduler",
  options: { schedulers: { kind: "members", doc: "The schedules." } },
  check: ({ schedulers }, typeOf) =>
    schedulers.flatMap((part, i) => (typeOf(part).setsRate?.(part, typeOf) ? [notAFactor(part, i)] : [])),
  rate: ({ schedulers }, at) =>
    schedulers.reduce((rate, member) => (at.base === 0 ? 0 : rate * (at.rateOf(member, at.t) / at.base)), at.base),
});

function notAFactor(part: Member, i: number): OptionFault {
  const unless = "eta_min" in part ? " unless its eta_min is 0" : "";
  return {
    option: `schedulers/${i}`,
    message: `must multiply lr by a factor to be chained; ${part.type} sets the rate itself${unless}`,
  };
}
