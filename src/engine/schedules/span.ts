import type { Member, Schedule } from "../settings.ts";
import { scheduleType } from "./learning-rate.ts";

/*
 * The length of a schedule compared with that of the training. Both are counted in the schedule's
 * own unit, without the warm-up. An option of kind `integer` with `whole` may be null: then it is
 * as long as the schedule runs, which is the whole training or the schedule's turn in `sequential`.
 */

/** A note on a schedule that ends well before or well after the time it has. */
export interface SpanNote {
  /** The path to the option that sets this: `schedulers/0/t_max`. */
  readonly option: string;
  readonly code: keyof typeof spanCodes;
  readonly message: string;
}

/** The limits of "well before" and "well after", as shares of the time. */
const EARLY = 0.9;
const LATE = 1.1;

/** The time that the schedule has, in its own unit; at least 1. */
export function spanOf(schedule: Schedule, totalSteps: number, stepsPerEpoch: number): number {
  const steps = totalSteps - schedule.warmup_steps;
  return Math.max(1, schedule.interval === "epoch" ? Math.ceil(steps / stepsPerEpoch) : steps);
}

/** The schedule with the number in place of each null that stands for the whole `span`. */
export function withSpan<M extends Member>(schedule: M, span: number): M {
  return changed(schedule, span, (value, own) => value ?? own);
}

/** The schedule with null in place of each number that `withSpan` would fill in. */
export function withoutSpan<M extends Member>(schedule: M, span: number): M {
  return changed(schedule, span, (value, own) => (value === own ? null : value));
}

/** The codes of notes, and what they mean. */
export const spanCodes = {
  schedule_ends_early:
    "a schedule ends well before the training does, and the rest of the training may run at an unwanted rate",
  schedule_ends_late: "the training ends well before a schedule does",
} as const;

function changed<M extends Member>(schedule: M, span: number, change: (value: unknown, span: number) => unknown): M {
  const { options } = scheduleType(schedule);
  const values = Object.entries(schedule).map(([name, value]) => {
    const option = Object.hasOwn(options, name) ? options[name] : null;
    if (option?.kind === "integer" && option.whole) return [name, change(value, span)];
    if (option?.kind !== "members") return [name, value];
    const spans = partSpans(schedule, span);
    return [name, (value as readonly Member[]).map((part, i) => changed(part, spans[i], change))];
  });
  return Object.fromEntries(values) as M;
}

function partSpans(schedule: Member, span: number): number[] {
  const parts = schedule.schedulers as readonly Member[];
  const spans = scheduleType(schedule).partSpans?.(schedule, span) ?? parts.map(() => span);
  return spans.map((own) => Math.max(1, own));
}

/** Notes on the schedule and its parts, wherever one ends well before or well after its time. */
export function spanNotes(schedule: Schedule, totalSteps: number, stepsPerEpoch: number): SpanNote[] {
  const { warmup_steps: warmup, interval } = schedule;
  if (warmup > 0 && warmup >= totalSteps) {
    const message = `is ${warmup}, and the training has ${totalSteps} steps: the schedule never begins`;
    return [{ option: "warmup_steps", code: "schedule_ends_late", message }];
  }
  return notesOn(schedule, spanOf(schedule, totalSteps, stepsPerEpoch), `${interval}s`, "");
}

function notesOn(schedule: Member, span: number, unit: string, path: string): SpanNote[] {
  const ending = scheduleType(schedule).ends?.(schedule);
  const notes: SpanNote[] = [];
  if (ending) {
    const { at, after } = ending;
    const option = `${path}${ending.option}`;
    const early = `ends ${schedule.type} after ${at} of its ${span} ${unit}; from then on ${after}`;
    const late = `makes ${schedule.type} take ${at} ${unit}, and it has only ${span}: it does not reach its end`;
    if (after !== null && at < EARLY * span) notes.push({ option, code: "schedule_ends_early", message: early });
    if (at > LATE * span) notes.push({ option, code: "schedule_ends_late", message: late });
  }
  const spans = Array.isArray(schedule.schedulers) ? partSpans(schedule, span) : [];
  const parts = spans.flatMap((own, i) =>
    notesOn((schedule.schedulers as readonly Member[])[i], own, unit, `${path}schedulers/${i}/`),
  );
  return [...notes, ...parts];
}
