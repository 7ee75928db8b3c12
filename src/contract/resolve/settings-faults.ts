/** Faults and warnings of settings that depend on each other, or on the table. */
import { stepsPerEpoch } from "../../engine/job.ts";
import { checkSchedule } from "../../engine/schedules/check.ts";
import { metricsUnder, modeFault } from "../../engine/metrics/metrics.ts";
import { scheduleType } from "../../engine/schedules/learning-rate.ts";
import { spanNotes } from "../../engine/schedules/span.ts";
import { losses } from "../../engine/losses/registry.generated.ts";
import type { Plan } from "../../engine/plan/model.ts";
import type { Member } from "../../engine/settings.ts";
import type { ResolvedSpec, Spec } from "../schema/spec.ts";
import { MAX_POINTS_PER_SERIES } from "../schema/training-spec.ts";
import { followedMetric, watchedMetrics } from "../schema/watched.ts";
import { didYouMean, listed, pointer, type Fault } from "./faults.ts";
import type { Table } from "./read-table.ts";
import { averagingFaults } from "./rows-faults.ts";
import type { Warning } from "./warnings.ts";

/** Faults of settings that need validation, or name a metric that the task does not have. */
export function validationFaults({ data, loss, training, checkpoint, schedule }: Partial<Spec>): Fault[] {
  const faults: Fault[] = [];
  const stopping = training?.early_stopping;
  const followed = followedMetric(schedule);
  if (data && data.validation === null) {
    const message = "needs validation; set /data/validation";
    if (stopping) faults.push({ pointer: "/training/early_stopping", message });
    if (training?.pruning) faults.push({ pointer: "/training/pruning", message });
    if (checkpoint?.keep_best) faults.push({ pointer: "/checkpoint/keep_best", message });
    if (followed) faults.push({ pointer: "/schedule/metric", message: `${message}, or follow "train_loss"` });
  }
  const mode = stopping && modeFault(stopping.metric, stopping.mode);
  if (mode) faults.push({ pointer: "/training/early_stopping/mode", message: mode });
  if (!loss) return faults;
  for (const { metric, pointer } of watchedMetrics({ training, schedule }))
    faults.push(...metricFaults(pointer, metric, loss));
  return faults;
}

function metricFaults(pointer: string, metric: string, loss: Member): Fault[] {
  const metrics = metricsUnder(losses[loss.type], Infinity);
  if (metrics.includes(metric)) return [];
  return [{ pointer, message: `must be one of ${metrics.join(", ")} under ${loss.type}` }];
}

export function scheduleFaults({ schedule, optimizer }: Partial<Spec>): Fault[] {
  if (!schedule) return [];
  return checkSchedule(schedule, optimizer ?? null).map(({ option, message }) => ({
    pointer: `/schedule/${option}`,
    message,
  }));
}

export function scheduleWarnings({ schedule, training }: ResolvedSpec, { sizes }: Table): Warning[] {
  const perEpoch = stepsPerEpoch(training, sizes.train);
  return spanNotes(schedule, training.epochs * perEpoch, perEpoch).map(({ option, ...note }) => ({
    pointer: `/schedule/${option}`,
    ...note,
  }));
}

export function trainingFaults({ training, schedule }: Partial<Spec>, { sizes: { train } }: Table): Fault[] {
  if (!training) return [];
  const { batch_size: batch, log_every_steps: every, epochs } = training;
  if (batch !== "full" && batch > train) {
    return [{ pointer: "/training/batch_size", message: `must be at most ${train}, the rows that train, or "full"` }];
  }
  const steps = epochs * stepsPerEpoch(training, train);
  const least = Math.ceil(steps / MAX_POINTS_PER_SERIES);
  const faults: Fault[] = [];
  if (every !== null && every < least) {
    const message = `must be at least ${least} for ${steps} steps, or null`;
    faults.push({ pointer: "/training/log_every_steps", message });
  }
  faults.push(...averagingFaults(training, steps), ...rangeTestFaults(schedule, training, steps));
  return faults;
}

/** A test of rates ends by itself, and leaves no weights that could be averaged. */
function rangeTestFaults(schedule: Spec["schedule"] | undefined, training: Spec["training"], steps: number): Fault[] {
  const tested = schedule && scheduleType(schedule).tests?.(schedule);
  if (!tested) return [];
  const faults: Fault[] = [];
  if (tested.steps > steps) {
    const message = `must be at most ${steps}, the steps of the training: raise /training/epochs, or make the test shorter`;
    faults.push({ pointer: "/schedule/total_steps", message });
  }
  if (training.averaging !== null)
    faults.push({ pointer: "/training/averaging", message: `must be null with ${schedule.type}` });
  return faults;
}

/**
 * Faults of observations that would make too many points. Those of the layers' curves count too.
 */
export function observeFaults(
  { training, observe }: Partial<Spec>,
  { sizes: { train } }: Table,
  { nodes }: Plan,
): Fault[] {
  if (!training || !observe) return [];
  const steps = training.epochs * stepsPerEpoch(training, train);
  const curves = observe.per_layer ? 1 + nodes.length : 1;
  const rarest = Math.ceil((steps * curves) / MAX_POINTS_PER_SERIES);
  if (observe.every_steps >= rarest) return [];
  const of = curves === 1 ? "" : ` of ${curves - 1} layers`;
  return [{ pointer: "/observe/every_steps", message: `must be at least ${rarest} for ${steps} steps${of}` }];
}

/**
 * Faults of a target with a single class, and of options that name a class which the target does
 * not have.
 */
export function classFaults({ loss }: Partial<Spec>, { classes, data }: Table): Fault[] {
  if (!loss || classes === null) return [];
  if (classes.length === 1) {
    const message = `names ${JSON.stringify(data.target)}, which has only one class, ${JSON.stringify(classes[0])}: a target needs at least two`;
    return [{ pointer: "/data/target", message }];
  }
  const { options } = losses[loss.type];
  const named = Object.entries(options).flatMap(([option, { kind }]) => {
    const value = loss[option];
    if (value === null) return [];
    if (kind === "class") return [{ path: ["loss", option], name: value as string }];
    if (kind !== "class_numbers") return [];
    return Object.keys(value as Record<string, number>).map((name) => ({ path: ["loss", option, name], name }));
  });
  return named
    .filter(({ name }) => !classes.includes(name))
    .map(({ path, name }, i) => ({
      pointer: pointer(path),
      message: `is not a class of ${JSON.stringify(data.target)}${(i === 0 && didYouMean(name, classes)) || `, whose classes are ${listed(classes)}`}`,
    }));
}
