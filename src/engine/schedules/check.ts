import { configure } from "../optimizers/configure.ts";
import type { Member, OptionFault, Options } from "../member/options.ts";
import { scheduleType } from "./learning-rate.ts";

/** Schedules that one may be made of, those within those included. */
const MAX_PARTS = 32;

/**
 * What is wrong with a schedule whose options are each within their bounds, and with those it is
 * made of. `optimizer`: the one whose rate it is to set, if it is known.
 */
export function checkSchedule(schedule: Member, optimizer: Member | null): OptionFault[] {
  const parts = partsOf(schedule, "");
  if (parts.length > MAX_PARTS)
    return [{ option: "schedulers", message: `must be at most ${MAX_PARTS} schedules in all, not ${parts.length}` }];
  return [{ path: "", member: schedule }, ...parts].flatMap(({ path, member }) => [
    ...(path !== "" && scheduleType(member).follow
      ? [
          {
            option: path.slice(0, -1),
            message: `must be another schedule: ${member.type} follows a metric and stands alone`,
          },
        ]
      : []),
    ...[...(scheduleType(member).check?.(member, scheduleType) ?? []), ...momentumFaults(member, optimizer)].map(
      ({ option, message }) => ({ option: `${path}${option}`, message }),
    ),
  ]);
}

interface Part {
  /** Where it stands, with a slash at its end. */
  readonly path: string;
  readonly member: Member;
}

function partsOf(member: Member, path: string): Part[] {
  const options: Options = scheduleType(member).options;
  const lists = Object.keys(options).filter((name) => options[name].kind === "members");
  return lists.flatMap((name) =>
    (member[name] as readonly Member[]).flatMap((part, i) => {
      const within = `${path}${name}/${i}/`;
      return [{ path: within, member: part }, ...partsOf(part, within)];
    }),
  );
}

/** A schedule cannot cycle a momentum that there is not. */
function momentumFaults(schedule: Member, optimizer: Member | null): OptionFault[] {
  if (optimizer === null || schedule.cycle_momentum !== true) return [];
  const { cycled } = configure(optimizer);
  if (cycled?.kept) return [];
  const message =
    cycled === null
      ? `must be false: ${optimizer.type} has no momentum that a schedule can cycle`
      : `must be false, or the optimizer's ${cycled.option.replaceAll("/", ".")} above 0, so that it keeps a buffer; the schedule then sets its value`;
  return [{ option: "cycle_momentum", message }];
}
