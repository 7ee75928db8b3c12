/** The `training` of a spec: its length, its batches, and what is done to the gradient. */
import { z } from "zod";
import { metricNames } from "../../engine/metrics/metrics.ts";
import { seed } from "./data-spec.ts";

export const MAX_POINTS_PER_SERIES = 100_000;
export const MAX_EPOCHS = 100_000;
const MAX_SEEDS = 1000;

const ClipGradNorm = z
  .union(
    [
      z.number().gt(0),
      z.strictObject({
        max_norm: z.number().gt(0),
        norm_type: z
          .union([z.number().min(1), z.literal("inf")], { error: 'must be a number of at least 1, or "inf"' })
          .default(2),
      }),
    ],
    { error: 'must be null, a number more than 0, or {"max_norm", "norm_type"}' },
  )
  .nullable()
  .default(null)
  .describe("Scales the gradient down to this norm. A number is a `max_norm` for the 2-norm.");

const ClipGradAdaptive = z
  .strictObject({
    clipping: z
      .number()
      .gt(0)
      .default(0.01)
      .describe("Largest norm of a gradient, as a share of the norm of its weights."),
    eps: z.number().gt(0).default(1e-3).describe("Lower bound of the norm of the weights."),
  })
  .nullable()
  .default(null)
  .describe(
    "Scales the gradient of each output unit (a row of a matrix, or a whole vector) down to a share of the norm of its weights. Brock et al. 2021, arXiv:2102.06171; optax.adaptive_grad_clip.",
  );

const GradientNoise = z
  .strictObject({
    eta: z.number().gt(0).describe("Variance at the first step; the paper tries 0.01, 0.3 and 1."),
    gamma: z.number().min(0).default(0.55).describe("How fast the variance falls."),
  })
  .nullable()
  .default(null)
  .describe(
    "Adds normal numbers of variance eta / (1 + step)^gamma to the gradient, after all clipping. Neelakantan et al. 2015, arXiv:1511.06807; optax.add_noise.",
  );

const averagedSteps = {
  start_step: z.int().min(0).default(0).describe("Step after which averaging begins."),
  every_steps: z.int().min(1).default(1).describe("Number of steps from one average to the next."),
};

const Averaging = z
  .discriminatedUnion("type", [
    z.strictObject({
      type: z.literal("ema"),
      decay: z.number().min(0).lt(1).default(0.999).describe("Share of the old average that is kept each time."),
      ...averagedSteps,
    }),
    z.strictObject({ type: z.literal("swa"), ...averagedSteps }),
  ])
  .nullable()
  .default(null)
  .describe(
    "Averages the weights. The average replaces the weights in evaluations, early stopping, the best weights and the model that is served, as soon as there is one. `ema`: exponential, `decay · average + (1 − decay) · weights` (Polyak & Juditsky 1992). `swa`: the mean (Izmailov et al. 2018, arXiv:1803.05407). Both are as in torch.optim.swa_utils.AveragedModel.",
  );

const EarlyStopping = z
  .strictObject({
    metric: z.enum(metricNames).default("valid_loss"),
    mode: z
      .enum(["min", "max"])
      .nullable()
      .default(null)
      .describe("Whether lower or higher is better. It must be the direction of the metric, which null stands for."),
    patience: z.int().min(1).describe("Number of evaluations in a row without improvement after which training stops."),
    min_delta: z.number().min(0).default(0).describe("Smallest change that counts as an improvement."),
  })
  .nullable()
  .default(null)
  .describe("Stops training when the metric no longer improves. Needs validation.");

/** A study writes the thresholds of a long curve into the spec of each trial. */
const MAX_RUNGS = 1000;

const Pruning = z
  .strictObject({
    metric: z.enum(metricNames).default("valid_loss"),
    rungs: z
      .array(
        z.strictObject({
          epoch: z.int().min(1).max(100_000).describe("The first evaluation at this epoch or after it counts."),
          value: z.number().nullable().describe("The threshold; null never stops."),
        }),
      )
      .min(1)
      .max(MAX_RUNGS)
      .refine(
        (rungs) => rungs.every(({ epoch }, i) => i === 0 || epoch > rungs[i - 1].epoch),
        "must have ascending epochs",
      ),
  })
  .nullable()
  .default(null)
  .describe(
    "Ends training at a rung if the metric is worse there than the threshold, or not finite. Needs validation. The result's `stop_reason` is then `pruned`. Studies set it; a fork that sets it to null goes on.",
  );

export type EarlyStopping = NonNullable<z.output<typeof EarlyStopping>>;

export const Training = z
  .strictObject({
    epochs: z.int().min(1).max(MAX_EPOCHS),
    batch_size: z
      .union([z.int().min(1), z.literal("full")], { error: 'must be an integer of at least 1, or "full"' })
      .describe("Rows of a batch, at most all training rows; `full` means all of them."),
    seed: seed.describe("Seed of the initial weights, the order of the rows, dropout and gradient noise."),
    seeds: z
      .int()
      .min(1)
      .max(MAX_SEEDS)
      .default(1)
      .describe("More than 1: the job is a set of models that differ in their seeds: `seed`, `seed` + 1, …."),
    pooled: z
      .boolean()
      .default(false)
      .describe(
        "Of a set with `data.partition_by`: first one model is trained on the rows of all keys, the plain job without `partition_by`. It predicts for keys that have no model. `GET /v1/jobs/{id}/models/pooled` reads it.",
      ),
    shuffle: z.boolean().default(true),
    drop_last: z.boolean().default(false).describe("Leaves out the last batch of an epoch if it is short."),
    gradient_accumulation_steps: z
      .int()
      .min(1)
      .max(10_000)
      .default(1)
      .describe(
        "Number of batches of one optimizer step. They are computed one after the other in the memory of one, and the gradient is that of all their rows together. Steps, schedules and losses count these steps. The last step of an epoch takes the batches that are left.",
      ),
    clip_grad_norm: ClipGradNorm,
    clip_grad_value: z
      .number()
      .gt(0)
      .nullable()
      .default(null)
      .describe("Clamps each element of the gradient to ± this, before all other clipping."),
    clip_grad_adaptive: ClipGradAdaptive,
    gradient_noise: GradientNoise,
    averaging: Averaging,
    eval_every_epochs: z.int().min(1).max(100_000).default(1),
    log_every_steps: z
      .int()
      .min(1)
      .nullable()
      .default(null)
      .describe(`Null: max(1, ceil(total_steps / 1000)). A series has at most ${MAX_POINTS_PER_SERIES} points.`),
    early_stopping: EarlyStopping,
    pruning: Pruning,
  })
  .meta({ id: "TrainingSpec", description: "How long a job trains, and in which batches." });
