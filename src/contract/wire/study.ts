/** Studies: searches for the best parameters of a spec. */
import { z } from "zod";
import { metricNames } from "../../engine/metrics/metrics.ts";
import { pruners } from "../../studies/pruners/registry.generated.ts";
import { samplers } from "../../studies/samplers/registry.generated.ts";
import { TRIAL_ENDS } from "../../studies/study.ts";
import { MAX_SECONDS } from "../facts.ts";
import { seed } from "../schema/data-spec.ts";
import { memberUnion } from "../schema/members.ts";
import { webhookUrl } from "../schema/webhook.ts";
import { Count, JobId, Sha256, StudyId, Time, list } from "./common.ts";

export const MAX_TRIALS = 10_000;
export const MAX_PARAMETERS = 64;
export const MAX_STUDIES = 1000;
const MAX_CHOICES = 100;
const MAX_PARALLEL = 1000;
const MAX_SEEDS = 100;

const When = z
  .record(z.string(), z.array(z.unknown()).min(1).max(MAX_CHOICES))
  .optional()
  .describe(
    "Conditions: the values that parts of the spec must have, by their JSON pointers. Each must point at a choice of the space, or into its values. Without them the parameter is always set.",
  );
const bounds = (number: z.ZodNumber) => z.array(number).length(2).describe("The lowest and the highest value.");

export const Domain = z
  .union(
    [
      z.strictObject({ choice: z.array(z.unknown()).min(1).max(MAX_CHOICES).describe("Its values."), when: When }),
      z.strictObject({ int: bounds(z.int()), when: When }),
      z.strictObject({ uniform: bounds(z.number()), when: When }),
      z.strictObject({ log_uniform: bounds(z.number().gt(0)), when: When }),
    ],
    {
      error:
        'must be {"choice": […]}, {"int": [low, high]}, {"uniform": […]} or {"log_uniform": […]}, and may have "when"',
    },
  )
  .meta({ id: "Domain", description: "The values that a parameter may have." });
export type Domain = z.infer<typeof Domain>;

const Space = z
  .record(z.string(), Domain)
  .describe("The parameters by their JSON pointers (RFC 6901) into the spec. See docs/search.md.")
  .meta({ examples: [{ "/optimizer/lr": { log_uniform: [1e-4, 0.1] } }] });

const EVENT_TYPES = [
  "created",
  "best",
  "paused",
  "resumed",
  "timed_out",
  "extended",
  "cancelling",
  "cancelled",
  "succeeded",
  "failed",
  "webhook_failed",
] as const;
const EventType = z.enum(EVENT_TYPES);

const Webhook = z
  .strictObject({
    url: webhookUrl,
    events: z
      .array(EventType.exclude(["created", "webhook_failed"]))
      .min(1)
      .max(EVENT_TYPES.length)
      .default(["succeeded", "failed", "cancelled"])
      .describe("The types of the events to send."),
  })
  .nullable()
  .default(null)
  .describe("Sends events of the study to a URL, as those of jobs. The trials' jobs have the webhook of the spec.");

const settings = {
  name: z.string().min(1).max(128).nullable().default(null),
  spec: z
    .record(z.string(), z.unknown())
    .describe("The spec of the trials, a Spec. The space sets parts of it. Seed s of a trial has `training.seed` + s."),
  space: Space,
  objective: z
    .enum(metricNames)
    .default("valid_loss")
    .describe("The metric that counts: that of the final weights, the mean over the seeds."),
  direction: z
    .enum(["minimize", "maximize"])
    .nullable()
    .default(null)
    .describe("It must be the direction of the objective, which null stands for."),
  sampler: memberUnion("samplers", "Sampler", samplers, {}).prefault({ type: "tpe" }),
  pruner: memberUnion("pruners", "Pruner", pruners, {}).prefault({ type: "none" }),
  trials: z
    .int()
    .min(1)
    .max(MAX_TRIALS)
    .nullable()
    .default(null)
    .describe(`How many, at most ${MAX_TRIALS}. Null, which only a grid may have: all points of the grid.`),
  parallel: z
    .int()
    .min(1)
    .max(MAX_PARALLEL)
    .default(8)
    .describe(
      "Trial i starts once trials 0 … i − parallel have ended, and is computed from these. It changes results.",
    ),
  seeds: z.int().min(1).max(MAX_SEEDS).default(1).describe("Jobs of a trial, each with a seed of its own."),
  seed: seed.describe("Seed of the sampler."),
  timeout: z
    .number()
    .gt(0)
    .max(MAX_SECONDS)
    .nullable()
    .default(null)
    .describe(
      "Seconds after which no trial starts, from its creation or from when it was given more trials, and those that run are cancelled. The winner is then of the longest row of first trials that had ended.",
    ),
  webhook: Webhook,
};

export const StudyRequest = z
  .strictObject(settings)
  .meta({ id: "StudyRequest", description: "A search for the parameters that make the objective best." });
export type StudyRequest = z.output<typeof StudyRequest>;

export const Extension = z
  .strictObject({
    total: z.int().min(1).max(MAX_TRIALS).describe("How many trials it is to have in all: at least as many as it has."),
  })
  .meta({ id: "StudyExtension", description: "More trials for a study that has ended." });
export type Extension = z.output<typeof Extension>;

export const STUDY_STATUSES = ["running", "paused", "cancelling", "succeeded", "failed", "cancelled"] as const;
export const StudyStatus = z.enum(STUDY_STATUSES).meta({
  id: "StudyStatus",
  description: "The status of a study. `succeeded`, `failed` and `cancelled` are final. `failed`: no trial succeeded.",
});
export type StudyStatus = z.infer<typeof StudyStatus>;

const Values = z
  .record(z.string(), z.unknown())
  .describe("The values of the parameters that the trial has, by pointer.");

export const Study = z
  .object({
    id: StudyId,
    ...settings,
    direction: z.enum(["minimize", "maximize"]),
    status: StudyStatus,
    created_at: Time,
    finished_at: Time.nullable(),
    trials: z.object({
      total: Count,
      ended: Count.describe("Those that succeeded, were pruned, failed or were cancelled."),
      pruned: Count,
      failed: Count,
    }),
    waiting_for: z
      .string()
      .nullable()
      .describe(
        "Why the next trial does not start although it may: there is no room for its jobs. Null if it only waits for other trials.",
      ),
    best: z
      .object({ trial: Count, value: z.number(), values: Values, job: JobId.describe("The job of its first seed.") })
      .nullable()
      .describe("The best trial so far. Of equal ones it is the one with the lowest number."),
    trials_sha256: Sha256.nullable().describe(
      "SHA-256 of what the trials were and what came of them: equal for the same study, whatever ran it. Null until it has ended.",
    ),
  })
  .meta({ id: "Study", description: "A study." });
export type Study = z.infer<typeof Study>;

export const StudySummary = Study.omit({ spec: true, space: true }).meta({
  id: "StudySummary",
  description: "A study as webhooks are told of it: without spec and space.",
});
export type StudySummary = z.infer<typeof StudySummary>;

const Rung = z.object({ epoch: Count, value: z.number().nullable() });

export const Trial = z
  .object({
    number: Count,
    status: z
      .enum(["running", ...TRIAL_ENDS])
      .describe("`pruned`: a job of it was pruned. `failed`: a job of it failed, as by diverging."),
    values: Values,
    from: Count.nullable().describe("The trial whose weights and moments it goes on from; null: it begins anew."),
    value: z.number().nullable().describe("The objective; null unless it succeeded."),
    thresholds: z.array(Rung).describe("What the pruner wants at each rung."),
    rungs: z.array(Rung).describe("The objective at the rungs that it reached."),
    jobs: z.array(JobId).describe("Its jobs, one for each seed."),
    weights_sha256: z.array(Sha256).describe("The weights of each seed; none unless all succeeded."),
    error: z.string().nullable().describe("Why it failed."),
  })
  .meta({ id: "Trial", description: "A trial of a study." });
export type Trial = z.infer<typeof Trial>;

export const Importance = z
  .object({
    method: z.literal("epsilon_squared").describe("Kruskal and Wallis' effect size; see docs/search.md."),
    trials: Count.describe("How many trials it is computed from."),
    importance: z
      .record(z.string(), z.number())
      .describe("The share of each parameter, by pointer. They add up to 1, unless all are 0."),
  })
  .meta({ id: "Importance", description: "How much each parameter of a study matters." });
export type Importance = z.infer<typeof Importance>;

export const StudyEvent = z
  .object({
    id: z.string().describe("Ids ascend within a study."),
    type: EventType,
    message: z.string(),
    data: z.record(z.string(), z.unknown()).nullable(),
    created_at: Time,
  })
  .meta({ id: "StudyEvent", description: "Something that happened to a study." });
export type StudyEvent = z.infer<typeof StudyEvent>;

export const StudyList = list("Study", Study);
export const TrialList = list("Trial", Trial);
export const StudyEventList = list("StudyEvent", StudyEvent);
