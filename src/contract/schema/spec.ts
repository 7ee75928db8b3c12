/**
 * The job spec: what a client may write, and the form it has once the defaults are filled in.
 *
 * Members (layers, losses, optimizers, schedules) come from the engine's registries. Whatever needs
 * the dataset (shapes, classes, batch sizes) is checked in resolve.ts.
 */
import { z } from "zod";
import type { Direction } from "../../engine/metrics/metric.ts";
import { Model, type LayerSpec } from "./layers.ts";
import { losses } from "../../engine/losses/registry.generated.ts";
import type { Options } from "../../engine/member/options.ts";
import { schedules } from "../../engine/schedules/registry.generated.ts";
import { MAX_SECONDS } from "../facts.ts";
import { Data } from "./data-spec.ts";
import { Init } from "./init.ts";
import { Detectors } from "./detectors.ts";
import { ParameterGroups } from "./groups.ts";
import { memberUnion, optionSchemas } from "./members.ts";
import { Optimizer } from "./optimizers.ts";
import { Training, type EarlyStopping } from "./training-spec.ts";
import { Webhook } from "./webhook.ts";

/** The options that every schedule has besides its own. */
export const timingOptions = {
  interval: {
    kind: "choice",
    choices: ["step", "epoch"],
    default: "step",
    doc: "The unit in which the schedule counts.",
  },
  warmup_steps: {
    kind: "integer",
    default: 0,
    min: 0,
    doc: "Steps over which the rate rises linearly to lr. The schedule begins after them.",
  },
} as const satisfies Options;

export const ScheduleSpec = memberUnion("schedules", "Schedule", schedules, optionSchemas(timingOptions));

const CheckpointPolicy = z
  .strictObject({
    every_steps: z.int().min(1).nullable().default(null),
    every_seconds: z
      .number()
      .min(0.01)
      .max(MAX_SECONDS)
      .nullable()
      .default(30)
      .describe("At most 1,000,000, which is eleven days. Null: time does not matter."),
    at_start: z
      .boolean()
      .default(false)
      .describe("Also writes the state before the first step, and keeps it as long as the job."),
    keep_last: z
      .int()
      .min(1)
      .max(100)
      .default(3)
      .describe(
        "Number of last states that are kept while the job runs. After its end only the last one is kept, or with `keep_after_end` all of them.",
      ),
    keep_after_end: z
      .boolean()
      .default(false)
      .describe(
        "Keeps the `keep_last` last states after the end of the job, so that forks may begin with any of them.",
      ),
    keep_best: z.boolean().default(false).describe("Keeps the weights of the best evaluation. Needs validation."),
  })
  .prefault({})
  .describe("When the whole state is written, and how many states are kept. This does not change the result.");

const Observe = z
  .strictObject({
    every_steps: z.int().min(1).describe("Steps that are multiples of this are observed."),
    per_layer: z.boolean().default(false).describe("Also gives the metrics of each layer."),
  })
  .nullable()
  .default(null)
  .describe(
    "Adds metrics of norms, update ratios and dead units, which some detectors need. This does not change the result, but an observed step takes longer.",
  );

const Metadata = z
  .record(z.string().regex(/^[a-z0-9_]{1,64}$/, "must have a name of 1 to 64 of a-z, 0-9 and _"), z.string().max(256))
  .refine((metadata) => Object.keys(metadata).length <= 16, "must have at most 16 entries")
  .default({})
  .describe("For your own use. Jobs can be listed by it.")
  .meta({ examples: [{ team: "vision" }] });

export const Spec = z
  .strictObject({
    name: z.string().min(1).max(128).nullable().default(null),
    metadata: Metadata,
    data: Data,
    model: Model,
    init: Init,
    loss: memberUnion("losses", "Loss", losses, {}),
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
          .describe("Most threads that train the job. It may get fewer; the result does not depend on it."),
        priority: z
          .int()
          .min(0)
          .max(10)
          .default(0)
          .describe("Of an owner's waiting jobs the one with the highest priority runs first."),
      })
      .prefault({}),
    webhook: Webhook,
  })
  .meta({
    id: "Spec",
    description: "A training job. Names and defaults are PyTorch's wherever PyTorch has them.",
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

/** A spec in which nothing is left open. */
export interface ResolvedSpec extends Spec {
  model: { layers: (LayerSpec & { name: string })[] };
  training: Spec["training"] & {
    log_every_steps: number;
    early_stopping: (EarlyStopping & { mode: Direction }) | null;
  };
}
