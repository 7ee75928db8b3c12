/** The names of a job's curves, and what each means. */
import { z } from "zod";
import { metricMeanings } from "../engine/metrics/metrics.ts";

/**
 * The measurements of an observed step. Those of one layer have its name after a dot:
 * `grad_norm.0`.
 */
export const observedNames = {
  grad_norm:
    "2-norm of the gradient, before clip_grad_norm; without `observe`: the norm that is clipped, at logged steps",
  update_ratio: "2-norm of the step over that of the weights; about 0.001 is usual",
  first_moment_norm: "2-norm of the optimizer's averages of the gradient (exp_avg, momentum_buffer)",
  second_moment_norm: "2-norm of its averages of the squared gradient (exp_avg_sq, square_avg, …)",
  effective_learning_rate:
    "2-norm of the step over that of the gradient: the rate at which plain gradient descent would take an equally long step",
  dead_fraction: "share of the units of relu layers that are 0 for every row of the batch",
} as const;

const seriesNames = {
  train_loss: "mean over a log interval",
  learning_rate: "of the last step of a log interval",
  ...metricMeanings,
  ...observedNames,
  clipped_fraction: "share of the steps since the last observation whose gradient clip_grad_norm scaled down",
} as const;

const documented = Object.entries(seriesNames).map(([name, meaning]) => `- \`${name}\`: ${meaning}`);
export const SeriesName = z
  .string()
  .regex(
    new RegExp(
      `^(?:${Object.keys(seriesNames).join("|")}|(?:${Object.keys(observedNames).join("|")})\\.[\\w.-]{1,200})$`,
    ),
    `must be one of ${Object.keys(seriesNames).join(", ")}, or with "observe": {"per_layer": true} one like grad_norm.<layer>`,
  )
  .describe(
    `A curve:\n\n${documented.join("\n")}\n\nWith \`observe.per_layer\` there are also those from \`grad_norm\` to \`dead_fraction\` for each layer, as \`grad_norm.<layer>\`.`,
  );
export type SeriesName = z.infer<typeof SeriesName>;
