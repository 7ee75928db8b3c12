import { short } from "./short.ts";
import type { RunFacts } from "./facts.ts";

/*
 * Why runs go wrong, and what helps. Detectors name causes. All advice is written here, so that two
 * detectors that find the same cause give the same advice.
 */

/**
 * The remedy for each cause, as a clause that continues "…: ". `lr` is the learning rate when the
 * cause was seen.
 */
const remedies = {
  learning_rate_too_high: (run, lr) => `${lower(run, lr)}${orClip(run)}${orWarmUp(run)}`,
  learning_rate_too_low: (run, lr) => `raise ${run.rateOption} (now ${short(lr)}) to about ${short(lr * 10)}`,
  features_unscaled: () => 'set data.preprocess.numeric to "standardize", since the features are far from unit scale',
  targets_unscaled: () => 'set data.preprocess.target to "standardize", since the target is far from unit scale',
  saturating_activations: ({ saturating }) =>
    saturating.length > 0
      ? `use relu, gelu or silu instead of ${saturating.join(" and ")}, which pass little gradient on, or fewer layers`
      : "use fewer layers, weight_init kaiming_uniform, or normalisation between the layers",
  initial_weights_too_large: (run) =>
    `start with smaller weights (weight_init "default" or "xavier_uniform") or fewer layers${orClip(run)}`,
  dead_units: (run, lr) => `${lower(run, lr)}, or use leaky_relu or gelu, whose units do not die`,
  overfitting: (run) =>
    [
      ...(run.earlyStopping ? [] : ["set early_stopping"]),
      ...(run.regularised ? [] : ["add dropout"]),
      `raise weight_decay, make the model smaller or get more than ${run.trainRows} training rows`,
    ].join(", "),
  batch_too_small: ({ batchRows, rateOption }) =>
    `raise batch_size (now ${batchRows}) to ${Math.max(32, batchRows * 4)}, or lower ${rateOption}`,
  not_learning: (run, lr) =>
    `try ${run.rateOption} ${short(lr * 10)} and ${short(lr / 10)} (now ${short(lr)}); if neither helps the features may say little about the target`,
} as const satisfies Record<string, (run: RunFacts, lr: number) => string>;

export type Cause = keyof typeof remedies;

export const CAUSES = Object.keys(remedies) as [Cause, ...Cause[]];

export function remedyFor(cause: Cause, run: RunFacts, lr: number): string {
  return remedies[cause](run, lr);
}

/** Why steps are too large. */
export function whyTooFast(run: RunFacts): Cause {
  if (run.featuresUnscaled) return "features_unscaled";
  return run.targetsUnscaled ? "targets_unscaled" : "learning_rate_too_high";
}

/** If the schedule has raised the rate, lowering the option does not help. */
function lower({ rateOption, baseRate }: RunFacts, lr: number): string {
  const [now, better] = [short(lr), short(lr / 10)];
  if (lr > 2 * baseRate) return `have the schedule raise ${rateOption} (now ${now}) to about ${better} at most`;
  return `lower ${rateOption} (now ${now}) to about ${better}`;
}

function orClip({ clipped }: RunFacts): string {
  return clipped ? "" : ", or set clip_grad_norm to 1.0";
}

function orWarmUp({ warmupSteps }: RunFacts): string {
  return warmupSteps > 0 ? "" : ", or set the schedule's warmup_steps";
}
