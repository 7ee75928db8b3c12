import type { DetectorSettings } from "./detectors/detector.ts";

/*
 * Going back from a divergence, under the policy `rewind`.
 *
 * A run that diverges goes back to step R, the last multiple of `every_steps` that lies at least
 * `window` steps before the divergence showed, and goes on from there with its rate multiplied by
 * `lr_factor`. R hangs on the run alone, and never on which checkpoints there happen to be: any
 * state at or before R will do to go on from, since steps before R are made as they were the first
 * time. So all that there is to a rewind is a state that is old enough, and a list of changes which
 * says from which step on the rate is another. The list is part of the state.
 *
 * That holds only if the divergence shows at a step that hangs on the run alone, too. A loss and
 * what detectors find do. A weight that is no longer finite may not show in a loss, and is then
 * seen when somebody looks, at multiples of `every_steps` and at the end; not when a checkpoint is
 * taken, which is simply not taken of such weights.
 */

/** The `rewind` part of a resolved spec's `detectors.diverging`. */
export interface Rewind {
  readonly every_steps: number;
  readonly window: number;
  readonly lr_factor: number;
  /** How often in a job. */
  readonly max: number;
}

/**
 * One rewind: to `step`, from which on the rate is another, because of what showed after
 * `detected_step` steps.
 */
export interface Change {
  readonly step: number;
  readonly detected_step: number;
  readonly lr_factor: number;
}

/** Null unless a divergence is to be rewound. */
export function rewindOf({ detectors }: { readonly detectors?: DetectorSettings }): Rewind | null {
  const settings = detectors?.diverging;
  return settings?.policy === "rewind" ? (settings.rewind as Rewind) : null;
}

/**
 * How often a run can be gone back to, and how far before a divergence, unless said otherwise.
 * `spotting`: steps until one is seen.
 */
export function rewindDefaults(totalSteps: number, spotting: number): Pick<Rewind, "every_steps" | "window"> {
  // The loss has risen for a while before it is above what is watched for.
  return { every_steps: Math.ceil(totalSteps / 100), window: 2 * spotting };
}

/**
 * The step to go back to from a divergence that shows after `step` steps. `first`: where the job
 * began.
 */
export function rewindStep({ every_steps, window }: Rewind, step: number, first = 0): number {
  return Math.max(first, Math.floor((step - window) / every_steps) * every_steps);
}

/**
 * What is to be done about a divergence; null: nothing any more, or never was. `first`: where the
 * job began.
 */
export function changeAfter(
  job: { readonly detectors?: DetectorSettings },
  { step, changes }: { readonly step: number; readonly changes: readonly Change[] },
  first: number,
): Change | null {
  const rewind = rewindOf(job);
  if (rewind === null || changes.length >= rewind.max) return null;
  return { step: rewindStep(rewind, step, first), detected_step: step, lr_factor: rewind.lr_factor };
}

/**
 * What the rate of the step after `step` steps is multiplied with. Each rewind's factor adds to
 * those before it, wherever they led.
 */
export function scaleAt(step: number, changes: readonly Change[]): number {
  const last = changes.findLastIndex((change) => change.step <= step);
  let scale = 1;
  for (let i = 0; i <= last; i++) scale *= changes[i].lr_factor;
  return scale;
}
