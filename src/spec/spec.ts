/**
 * The job spec: what a client may write, and what becomes of it once the defaults are filled in.
 *
 * Members (layers, losses, optimizers, schedules) come from the engine's registries. What needs the dataset (shapes, classes, batch sizes) is in
 * resolve.ts.
 */
import { z } from "zod";
import { declaredTypes } from "../data/reading.ts";
import { MAX_INLINE_BYTES, type Cell } from "../data/source.ts";
import { SYNTHETIC_TYPES } from "../data/synthetic.ts";
import { metricNames, type Direction } from "../engine/metrics.ts";
import { layers } from "../engine/layers/registry.generated.ts";
import { losses } from "../engine/losses/registry.generated.ts";
import type { Options } from "../engine/options.ts";
import { schedules } from "../engine/schedules/registry.generated.ts";
import { Detectors } from "./detectors.ts";
import { ParameterGroups } from "./groups.ts";
import { memberUnion, optionSchemas } from "./members.ts";
import { Optimizer } from "./optimizers.ts";
import { Webhook } from "./webhook.ts";

export const MAX_POINTS_PER_SERIES = 100_000;

/** A timer of more than 2^31 − 1 milliseconds goes off at once, and again and again. */
export const MAX_SECONDS = 1_000_000;

const columnName = z.string().min(1).max(1024);
const seed = z.int().min(0).default(0);

const share = z.number().gt(0).lt(1);

/** @param verb what the rows do that it chooses */
function splitRule(verb: string) {
  const forms = [
    z.strictObject({
      fraction: share.describe(`The share of rows that ${verb}, drawn at random.`),
      seed,
      stratify: z
        .boolean()
        .default(false)
        .describe(
          "Draw from each class of the target its share: as many rows as its size × fraction, rounded down, and one more from those with the largest remainders.",
        ),
    }),
    z.strictObject({ every: z.int().min(2).describe(`Rows whose number from 0 is a multiple of this ${verb}.`) }),
    z.strictObject({
      column: columnName.describe(`Rows with 1, or with true, in this column ${verb}; all others do not.`),
    }),
    z.strictObject({ tail: share.describe(`The share of rows at the end of the table that ${verb}.`) }),
    z.strictObject({
      group: columnName.describe("Rows with the same value in this column stay together."),
      fraction: share.describe(
        `Groups are drawn at random as long as that brings the rows that ${verb} nearer to this share.`,
      ),
      seed,
    }),
  ] as const;
  const error =
    'must be null or exactly one of {"fraction", "seed", "stratify"}, {"every"}, {"column"}, {"tail"} and {"group", "fraction", "seed"}';
  return z.union(forms, { error }).nullable().default(null);
}

const Preprocess = z
  .strictObject({
    numeric: z.enum(["standardize", "min_max", "none"]).default("standardize"),
    categorical: z.enum(["one_hot"]).default("one_hot"),
    missing: z
      .enum(["error", "mean", "median", "most_frequent", "drop_row"])
      .default("error")
      .describe(
        "What stands in for a missing feature, worked out from the training rows. `median`: of an even number of values the mean of the middle two. `most_frequent`: of equally frequent values the smallest, or the first class. A missing class stays one under `mean` and `median`: the inputs of its classes are all 0. `drop_row`: the row is left out, and one without a target too.",
      ),
    missing_target: z
      .enum(["error", "drop_row"])
      .default("error")
      .describe("`drop_row`: rows without a target are left out, whatever becomes of missing features."),
    missing_indicator: z
      .boolean()
      .default(false)
      .describe(
        "Adds an input, 1 where the value is missing and else 0, after those of each feature that has missing values among the training rows.",
      ),
    target: z
      .enum(["auto", "standardize", "none"])
      .default("auto")
      .describe("`auto` standardises the target of a regression under mse, l1 and huber."),
  })
  .prefault({})
  .describe("Statistics come from the training rows only, in double precision.");

const Inline = z
  .strictObject({
    columns: z.array(columnName).min(1).max(10_000),
    // Each row is looked at in data/source.ts: zod would take a hundred times as long over a megabyte of cells.
    rows: z
      .custom<Cell[][]>(Array.isArray, {
        error: ({ input }) => (input === undefined ? "is required" : "must be an array of rows"),
      })
      .meta({ type: "array", items: { type: "array", items: { type: ["number", "string", "null"] } } }),
  })
  .describe(
    `The table itself, at most ${MAX_INLINE_BYTES} bytes of it; null is an empty cell. The job's own spec names the dataset that it became.`,
  );

const SyntheticSource = z
  .strictObject({
    type: z
      .enum(SYNTHETIC_TYPES)
      .describe(
        "`two_moons` and `spirals` have the features x0 and x1 and two classes, `sine` has x0 and a number, `linear` x0, x1, x2 and a number; the column to predict is `target`.",
      ),
    rows: z.int().min(2).max(1_000_000),
    noise: z
      .number()
      .min(0)
      .max(1000)
      .default(0)
      .describe("The deviation of what is added to the features, or to the target where it is a number."),
    seed,
  })
  .describe("A table made up by a formula.");

const sources = ["dataset", "inline", "synthetic"] as const;

const Data = z
  .strictObject({
    dataset: z
      .string()
      .regex(/^ds_[0-9a-z]{26}$/, "must be a dataset's id, as POST /v1/datasets gives it")
      .optional()
      .meta({ examples: ["ds_01k3w9d0c8v6m2q4r7t5x1y9za"] }),
    inline: Inline.optional(),
    synthetic: SyntheticSource.optional(),
    target: columnName.describe("The column to predict."),
    features: z
      .array(columnName)
      .min(1)
      .max(10_000)
      .nullable()
      .default(null)
      .describe(
        "The columns to predict from. Null: all but the target, those of `exclude`, of `validation` and of `test`, those declared `ignore` or `text`, and texts and integers that are nearly all different.",
      ),
    exclude: z.array(columnName).max(10_000).default([]).describe("Columns that are no features."),
    columns: z
      .record(columnName, z.enum(declaredTypes))
      .default({})
      .describe(
        "Columns to take as another type than they were read as, in this job alone. `text` and `ignore`: no default features.",
      )
      .meta({ examples: [{ zip: "categorical" }] }),
    validation: splitRule("validate").describe("Which rows validate instead of training, of those that `test` leaves."),
    test: splitRule("test").describe(
      "Which rows are kept for a test of the final weights, at the end. They neither train nor validate.",
    ),
    preprocess: Preprocess,
  })
  .refine((data) => sources.filter((source) => data[source] !== undefined).length === 1, {
    error: `must have exactly one of ${sources.join(", ")}`,
  })
  .meta({
    id: "DataSpec",
    description:
      "What to learn from: an uploaded `dataset`, or rows that come with the spec, which then become a dataset like any other.",
    oneOf: sources.map((source) => ({ required: [source] })),
  });
export type DataSpec = z.output<typeof Data>;

const layerName = z
  .string()
  .regex(/^[A-Za-z0-9_-]{1,64}$/, "must be 1 to 64 letters, digits, _ or -")
  .nullable()
  .default(null)
  .describe("What the layer's parameters are called after; null: its index, as in `nn.Sequential`.");

const Model = z
  .strictObject({
    layers: z
      .array(memberUnion("Layer", layers, { name: layerName }))
      .min(1)
      .max(256),
  })
  .meta({ id: "ModelSpec", description: "Layers, one after the other." });

/** What every schedule has beside its own options: when it counts. */
export const timingOptions = {
  interval: { kind: "choice", choices: ["step", "epoch"], default: "step", doc: "What the schedule counts." },
  warmup_steps: {
    kind: "integer",
    default: 0,
    min: 0,
    doc: "Steps over which the rate rises linearly to its base; the schedule begins after them.",
  },
} as const satisfies Options;

export const ScheduleSpec = memberUnion("Schedule", schedules, optionSchemas(timingOptions));

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

type EarlyStopping = NonNullable<z.output<typeof EarlyStopping>>;

const Training = z
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

const CheckpointPolicy = z
  .strictObject({
    every_steps: z.int().min(1).nullable().default(null),
    every_seconds: z
      .number()
      .min(0.01)
      .max(MAX_SECONDS)
      .nullable()
      .default(30)
      .describe("At most 1,000,000, eleven days. Null: no matter how long it takes."),
    at_start: z
      .boolean()
      .default(false)
      .describe("Writes the state before the first step too, and keeps it as long as the job."),
    keep_last: z
      .int()
      .min(1)
      .max(100)
      .default(3)
      .describe(
        "How many of the last states are kept while the job runs. Once it has ended the last one remains, and with `keep_after_end` all of them.",
      ),
    keep_after_end: z
      .boolean()
      .default(false)
      .describe("Keeps the `keep_last` last states after the end, so that forks may begin with any of them."),
    keep_best: z.boolean().default(false).describe("Keeps the weights of the best evaluation. Needs validation."),
  })
  .prefault({})
  .describe("When the whole state is written, and how many of them are kept. Does not influence the result.");

const Observe = z
  .strictObject({
    every_steps: z.int().min(1).describe("Which steps are looked at closely: multiples of this."),
    per_layer: z.boolean().default(false).describe("Tell the metrics of each layer too."),
  })
  .nullable()
  .default(null)
  .describe(
    "Adds metrics of norms, update ratios and dead units, and gives sight to the detectors that need them. Does not influence the result; an observed step takes longer.",
  );

const Metadata = z
  .record(z.string().regex(/^[a-z0-9_]{1,64}$/, "must have a name of 1 to 64 of a-z, 0-9 and _"), z.string().max(256))
  .refine((metadata) => Object.keys(metadata).length <= 16, "must have at most 16 entries")
  .default({})
  .describe("Yours; jobs can be listed by it.")
  .meta({ examples: [{ team: "vision" }] });

export const Spec = z
  .strictObject({
    name: z.string().min(1).max(128).nullable().default(null),
    metadata: Metadata,
    data: Data,
    model: Model,
    loss: memberUnion("Loss", losses, {}),
    optimizer: Optimizer,
    parameter_groups: ParameterGroups,
    schedule: ScheduleSpec.prefault({ type: "constant" }).describe("The learning rate over time."),
    training: Training,
    observe: Observe,
    detectors: Detectors,
    checkpoint: CheckpointPolicy,
    resources: z
      .strictObject({
        threads: z
          .int()
          .min(1)
          .max(64)
          .default(1)
          .describe("A wish; the result does not depend on how many are given."),
        priority: z
          .int()
          .min(0)
          .max(10)
          .default(0)
          .describe("Of an owner's jobs that wait, the highest is taken first."),
      })
      .prefault({}),
    webhook: Webhook,
  })
  .meta({
    id: "Spec",
    description: "A training job. Names and defaults are PyTorch's wherever it has them.",
    examples: [
      {
        name: "digits-mlp",
        data: { dataset: "ds_01k3w9d0c8v6m2q4r7t5x1y9za", target: "target", validation: { every: 5 } },
        model: { layers: [{ type: "linear", out_features: 64 }, { type: "relu" }, { type: "linear" }] },
        loss: { type: "cross_entropy" },
        optimizer: { type: "adam", lr: 0.001, betas: [0.9, 0.999], eps: 1e-8 },
        schedule: { type: "cosine_annealing", t_max: 690 },
        training: { epochs: 30, batch_size: 64, seed: 7, clip_grad_norm: 1.0, early_stopping: { patience: 5 } },
        checkpoint: { keep_last: 3, keep_best: true },
        resources: { threads: 2 },
        metadata: { team: "vision" },
      },
    ],
  });
export type Spec = z.output<typeof Spec>;

/** A spec in which nothing is left to be worked out. */
export interface ResolvedSpec extends Spec {
  model: { layers: (Spec["model"]["layers"][number] & { name: string })[] };
  training: Spec["training"] & {
    log_every_steps: number;
    early_stopping: (EarlyStopping & { mode: Direction }) | null;
  };
}
