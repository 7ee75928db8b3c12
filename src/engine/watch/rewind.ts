import type { DetectorSettings, Rewind } from "../settings.ts";

/*
 * Going back from a divergence, under the policy `rewind`.
 *
 * A run that diverges goes back to step R, the last multiple of `every_steps` that lies at least
 * `window` steps before the divergence showed. From there it goes on with its rate multiplied by
 * `lr_factor`. R depends on the run alone, and not on which checkpoints exist. The run can restart
 * from any state at or before R, since the steps before R are repeated as they were the first time.
 * So a rewind needs only a state that is old enough, and a list of changes that says from which
 * step on the rate is different. The list is part of the state.
 *
 * This works only if the step at which the divergence shows also depends on the run alone. The loss
 * and the findings of detectors meet this condition. A weight that is no longer finite may not show
 * in the loss. Weights are therefore checked at multiples of `every_steps` and at the end. A
 * checkpoint of such weights is not taken, but it does not count as the step at which the
 * divergence showed.
 */

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
 * The defaults of `every_steps` and `window`. `detectionSteps`: the number of steps until a
 * divergence is seen.
 */
export function rewindDefaults(totalSteps: number, detectionSteps: number): Pick<Rewind, "every_steps" | "window"> {
  // The loss rises for a while before it exceeds the detector's threshold.
  return { every_steps: Math.ceil(totalSteps / 100), window: 2 * detectionSteps };
}

/**
 * The step to which a run goes back if a divergence shows after `step` steps. `first`: the step at
 * which the job began.
 */
export function rewindStep({ every_steps, window }: Rewind, step: number, first = 0): number {
  return Math.max(first, Math.floor((step - window) / every_steps) * every_steps);
}

/**
 * The change that a divergence causes. Null: the policy does not rewind, or no rewind is left.
 * `first`: the step at which the job began.
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
 * The factor of the rate at the step after `step` steps. The factor of each rewind is multiplied
 * with those of all rewinds before it, whichever step they led to.
 */
export function scaleAt(step: number, changes: readonly Change[]): number {
  const last = changes.findLastIndex((change) => change.step <= step);
  let scale = 1;
  for (let i = 0; i <= last; i++) scale *= changes[i].lr_factor;
  return scale;
}
