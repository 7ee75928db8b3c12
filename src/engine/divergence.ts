import type { TrainingJob } from "./job.ts";
import { configure } from "./optimizers/configure.ts";

interface Observation {
  readonly step: number;
  readonly train_loss: number;
  readonly learning_rate: number;
  readonly grad_norm: number | null;
}

/**
 * What to say of a run that diverged, from what was seen of it: the loss and the learning rate in its last log entries.
 * `step` is the first whose loss, or whose weights, were not finite.
 */
export function suggestRemedy(
  job: TrainingJob,
  seen: readonly Observation[],
  step: number,
): { message: string; suggestion: string } {
  const finite = seen.filter((entry) => Number.isFinite(entry.train_loss));
  const message = `The loss or a weight was no longer a finite number at step ${step}${course(finite)}.`;
  const { rate, rateOption } = configure(job.optimizer);
  const lr = seen.at(-1)?.learning_rate ?? rate;
  const clip = job.training.clip_grad_norm === null ? ', or set "clip_grad_norm": 1.0' : "";
  const warm = job.schedule.warmup_steps === 0 ? ', or set the schedule\'s "warmup_steps"' : "";
  if (step <= 2 && lr <= 0.1 && hugeFeatures(job)) {
    return { message, suggestion: 'Features reach beyond ±1000: set "preprocess": {"numeric": "standardize"}.' };
  }
  if (hugeTargets(job)) {
    return {
      message,
      suggestion:
        'Targets reach beyond ±1000: set "preprocess": {"target": "standardize"}, or lower the learning rate.',
    };
  }
  return {
    message,
    suggestion: `Lower the optimizer's ${rateOption} (it was ${short(lr)}) to about ${short(lr / 10)}${clip}${warm}.`,
  };
}

/** How the loss went before: from its lowest value to its last. */
function course(finite: readonly Observation[]): string {
  const last = finite.at(-1);
  if (last === undefined) return ", before any was logged";
  const lowest = finite.reduce((best, entry) => (entry.train_loss < best.train_loss ? entry : best));
  const rise =
    last.train_loss > lowest.train_loss
      ? `; the loss had risen from ${short(lowest.train_loss)} at step ${lowest.step} to`
      : "; the loss was";
  return `${rise} ${short(last.train_loss)} at step ${last.step}`;
}

const short = (value: number): string => String(Number(value.toPrecision(3)));

const HUGE = 1000;

const hugeFeatures = (job: TrainingJob): boolean =>
  job.data.features.subarray(0, 1_000_000).some((value) => Math.abs(value) > HUGE);

const hugeTargets = (job: TrainingJob): boolean =>
  job.data.targets instanceof Float32Array &&
  job.data.targets.subarray(0, 100_000).some((value) => Math.abs(value) > HUGE);
