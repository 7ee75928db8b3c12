import { configure } from "../optimizers/configure.ts";
import type { OptionFault, Options } from "../member/options.ts";
import { scheduleType } from "./learning-rate.ts";
import type { Member } from "../settings.ts";

/** Most parts that a schedule may have, including the parts of its parts. */
const MAX_PARTS = 32;

/**
 * The faults of a schedule whose options are each within their bounds, and of its parts.
 * `optimizer` is the one whose rate it sets, if that is known.
 */
export function checkSchedule(schedule: Member, optimizer: Member | null): OptionFault[] {
  const parts = partsOf(schedule, "");
  if (parts.length > MAX_PARTS)
    return [{ option: "schedulers", message: `must be at most ${MAX_PARTS} schedules in all, not ${parts.length}` }];
  return [{ path: "", member: schedule }, ...parts].flatMap(({ path, member }) => [
    ...(path !== "" ? aloneFaults(path.slice(0, -1), member) : []),
    ...testFaults(member),
    ...[...(scheduleType(member).check?.(member, scheduleType) ?? []), ...momentumFaults(member, optimizer)].map(
      ({ option, message }) => ({ option: `${path}${option}`, message }),
    ),
  ]);
}

/** Some schedules cannot be part of another. */
function aloneFaults(option: string, member: Member): OptionFault[] {
  const { follow, tests } = scheduleType(member);
  const what = follow ? "follows a metric" : tests ? "tests rates" : null;
  if (what === null) return [];
  return [{ option, message: `cannot be ${member.type}, which ${what}: use it as the only schedule` }];
}

/** A test of rates counts its own steps from the first. */
function testFaults(member: Member): OptionFault[] {
  if (!scheduleType(member).tests) return [];
  const faults: OptionFault[] = [];
  if (member.interval === "epoch")
    faults.push({ option: "interval", message: `must be "step": ${member.type} changes the rate at every step` });
  if (Number(member.warmup_steps ?? 0) > 0)
    faults.push({ option: "warmup_steps", message: `must be 0: ${member.type} begins with low rates anyway` });
  return faults;
}

interface Part {
  /** The path to it, with a slash at the end. */
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

/** A schedule cannot cycle a momentum that the optimizer does not have. */
function momentumFaults(schedule: Member, optimizer: Member | null): OptionFault[] {
  if (optimizer === null || schedule.cycle_momentum !== true) return [];
  const { cycled } = configure(optimizer);
  if (cycled?.kept) return [];
  const message =
    cycled === null
      ? `must be false: ${optimizer.type} has no momentum that a schedule can cycle`
      : `must be false, or ${cycled.option.replaceAll("/", ".")} of the optimizer above 0, so that it keeps a buffer; the schedule then sets the value`;
  return [{ option: "cycle_momentum", message }];
}
