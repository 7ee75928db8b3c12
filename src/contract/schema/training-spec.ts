/** The `training` of a spec: how long, in which batches, and what becomes of the gradient. */
import { z } from "zod";
import { metricNames } from "../../engine/metrics/metrics.ts";
import { seed } from "./data-spec.ts";

export const MAX_POINTS_PER_SERIES = 100_000;

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
  .describe("Scales the gradient down to this norm; a number is the `max_norm` of the 2-norm.");

const ClipGradAdaptive = z
  .strictObject({
    clipping: z.number().gt(0).default(0.01).describe("The most a gradient's norm may be of its weights' norm."),
    eps: z.number().gt(0).default(1e-3).describe("What the norm of weights counts as at least."),
  })
  .nullable()
  .default(null)
  .describe(
    "Scales the gradient of each output unit (a row of a matrix; a vector as a whole) down to a part of its weights' norm. Brock et al. 2021, arXiv:2102.06171; optax.adaptive_grad_clip.",
  );

const GradientNoise = z
  .strictObject({
    eta: z.number().gt(0).describe("The variance at the first step; the paper tries 0.01, 0.3 and 1."),
    gamma: z.number().min(0).default(0.55).describe("How fast it falls."),
  })
  .nullable()
  .default(null)
  .describe(
    "Adds normal numbers of variance eta / (1 + step)^gamma to the gradient, after all clipping. Neelakantan et al. 2015, arXiv:1511.06807; optax.add_noise.",
  );

const averagedSteps = {
  start_step: z.int().min(0).default(0).describe("The step after which averaging begins."),
  every_steps: z.int().min(1).default(1).describe("Averages are taken after every so many steps from then on."),
};

const Averaging = z
  .discriminatedUnion("type", [
    z.strictObject({
      type: z.literal("ema"),
      decay: z.number().min(0).lt(1).default(0.999).describe("What the average keeps of itself each time."),
      ...averagedSteps,
    }),
    z.strictObject({ type: z.literal("swa"), ...averagedSteps }),
  ])
  .nullable()
  .default(null)
  .describe(
    "Averages of the weights, which are evaluated, watched by early stopping, kept as best and served in place of the weights; until there is one, the weights are. `ema`: exponential, `decay · average + (1 − decay) · weights` (Polyak & Juditsky 1992); `swa`: the mean (Izmailov et al. 2018, arXiv:1803.05407); as torch.optim.swa_utils.AveragedModel.",
  );

const EarlyStopping = z
  .strictObject({
    metric: z.enum(metricNames).default("valid_loss"),
    mode: z
      .enum(["min", "max"])
      .nullable()
      .default(null)
      .describe("Whether less or more is better; null: as the metric has it, and another one is refused."),
    patience: z.int().min(1).describe("How many evaluations in a row may fail to improve."),
    min_delta: z.number().min(0).default(0).describe("What counts as an improvement."),
  })
  .nullable()
  .default(null)
  .describe("Stops once the metric no longer improves. Needs validation.");

export type EarlyStopping = NonNullable<z.output<typeof EarlyStopping>>;

export const Training = z
  .strictObject({
    epochs: z.int().min(1).max(100_000),
    batch_size: z
      .union([z.int().min(1), z.literal("full")], { error: 'must be an integer of at least 1, or "full"' })
      .describe("Rows of a batch; at most the training rows, which is what `full` means."),
    seed: seed.describe("Of the initial weights, the order of the rows, dropout and gradient noise."),
    shuffle: z.boolean().default(true),
    drop_last: z.boolean().default(false).describe("Leaves out an epoch's last batch if it is short."),
    gradient_accumulation_steps: z
      .int()
      .min(1)
      .max(10_000)
      .default(1)
      .describe(
        "Batches an optimizer step takes, one after the other: the gradient is that of all their rows together, in the memory of one. Steps, schedules and losses count such steps; an epoch's last one takes the batches that are left.",
      ),
    clip_grad_norm: ClipGradNorm,
    clip_grad_value: z
      .number()
      .gt(0)
      .nullable()
      .default(null)
      .describe("Clamps each element of the gradient to ± this; of all clipping the first."),
    clip_grad_adaptive: ClipGradAdaptive,
    gradient_noise: GradientNoise,
    averaging: Averaging,
    eval_every_epochs: z.int().min(1).max(100_000).default(1),
    log_every_steps: z
      .int()
      .min(1)
      .nullable()
      .default(null)
      .describe(`Null: max(1, ceil(total_steps / 1000)). At most ${MAX_POINTS_PER_SERIES} points a series.`),
    early_stopping: EarlyStopping,
  })
  .meta({ id: "TrainingSpec", description: "How long and in which batches." });
