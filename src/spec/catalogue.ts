/**
 * The catalogue: what the engine's members say of themselves. A new member is in it as soon as its folder is there; a new field of a kind's declarations
 * takes a line in `catalogue` and one in the kind's schema.
 */
import { z } from "zod";
import { layers } from "../engine/layers/registry.generated.ts";
import type { LayerType } from "../engine/layers/layer.ts";
import { losses } from "../engine/losses/registry.generated.ts";
import type { LossType } from "../engine/losses/loss.ts";
import { optimizers } from "../engine/optimizers/registry.generated.ts";
import type { OptimizerType, StateTensor } from "../engine/optimizers/optimizer.ts";
import type { Bounds, Description, Option, Options } from "../engine/options.ts";
import { schedules } from "../engine/schedules/registry.generated.ts";
import { timingOptions } from "./spec.ts";
import { list } from "./wire.ts";

/** What a hyperparameter of each kind takes. */
const kinds = {
  number: "a number",
  integer: "an integer",
  boolean: "true or false",
  choice: "one of `choices`",
  numbers: "a list of numbers",
  class_numbers: "an object from names of the target's classes to numbers",
  class: "the name of one of the target's classes",
} as const satisfies Record<Option["kind"], string>;

export const Hyperparameter = z
  .object({
    name: z.string(),
    type: z.enum(Object.keys(kinds) as [Option["kind"], ...Option["kind"][]]).describe(
      Object.entries(kinds)
        .map(([kind, meaning]) => `\`${kind}\`: ${meaning}`)
        .join("; "),
    ),
    required: z.boolean(),
    default: z
      .union([z.number(), z.boolean(), z.string(), z.array(z.number())])
      .nullable()
      .describe("What it is if it is left out; null if it is required, or may be null and then means nothing."),
    min: z.number().nullable().describe("The least value; of a list, of each of its numbers."),
    max: z.number().nullable().describe("The greatest value."),
    above: z.number().nullable().describe("Values are greater than this."),
    below: z.number().nullable().describe("Values are less than this."),
    choices: z.array(z.string()).nullable(),
    length: z.int().nullable().describe("How many numbers a list has; null if any."),
    description: z.string(),
  })
  .meta({ id: "Hyperparameter", description: "An option of a member: what may stand beside its `type` in a spec." });
export type Hyperparameter = z.infer<typeof Hyperparameter>;

const member = {
  type: z.string().describe("Its name in a spec."),
  summary: z.string(),
  formula: z.string(),
  source: z.string().describe("The paper, and the class of PyTorch whose semantics are kept."),
  hyperparameters: z.array(Hyperparameter),
};

export const OptimizerEntry = z
  .object({
    ...member,
    state: z
      .array(
        z.object({
          name: z.string().describe("As PyTorch calls it; in a checkpoint `optimizer.<name>.<parameter>`."),
          initial: z
            .union([z.number(), z.literal("parameter")])
            .describe("What it starts as: a number, or a copy of the parameter."),
          option: z
            .string()
            .nullable()
            .describe("The hyperparameter that has to be set for it; null if it is there by default."),
        }),
      )
      .describe("Float32 tensors of each parameter's shape that are kept between steps."),
    state_bytes_per_parameter: z
      .int()
      .min(0)
      .describe("What they take by default, beside the 4 bytes of the parameter itself."),
    evaluates_other_weights: z
      .boolean()
      .describe("Whether other weights are evaluated and served than those that are trained."),
  })
  .meta({ id: "OptimizerEntry", description: "An optimizer." });
export type OptimizerEntry = z.infer<typeof OptimizerEntry>;

export const LayerEntry = z.object(member).meta({ id: "LayerEntry", description: "A layer." });
export type LayerEntry = z.infer<typeof LayerEntry>;

export const LossEntry = z
  .object({
    ...member,
    targets: z
      .enum(["class", "value", "probability"])
      .describe("What it compares with: one class a row, a number to come near to, or a number between 0 and 1."),
  })
  .meta({ id: "LossEntry", description: "A loss." });
export type LossEntry = z.infer<typeof LossEntry>;

export const ScheduleEntry = z.object(member).meta({ id: "ScheduleEntry", description: "A learning-rate schedule." });
export type ScheduleEntry = z.infer<typeof ScheduleEntry>;

export const OptimizerList = list("Optimizer", OptimizerEntry);
export const LayerList = list("Layer", LayerEntry);
export const LossList = list("Loss", LossEntry);
export const ScheduleList = list("Schedule", ScheduleEntry);

/** Every member by kind, in the order of their names. */
export const catalogue = {
  optimizers: (Object.values(optimizers) as readonly OptimizerType[]).map((optimizer): OptimizerEntry => ({
    ...described(optimizer),
    ...stateOf(optimizer),
    evaluates_other_weights: optimizer.evaluatesOthers ?? false,
  })),
  layers: (Object.values(layers) as readonly LayerType[]).map((layer): LayerEntry => described(layer)),
  losses: (Object.values(losses) as readonly LossType[]).map((loss): LossEntry => ({
    ...described(loss),
    targets: loss.targets,
  })),
  schedules: (Object.values(schedules) as readonly Description[]).map((schedule): ScheduleEntry =>
    described(schedule, timingOptions),
  ),
};

function described({ type, summary, formula, source, options }: Description, common: Options = {}) {
  const all = Object.entries({ ...options, ...common });
  return { type, summary, formula, source, hyperparameters: all.map(([name, option]) => hyperparameter(name, option)) };
}

function hyperparameter(name: string, option: Option): Hyperparameter {
  const { min = null, max = null, above = null, below = null } = option as Bounds;
  return {
    name,
    type: option.kind,
    required: option.default === undefined,
    default: (option.default ?? null) as Hyperparameter["default"],
    min,
    max,
    above,
    below,
    choices: "choices" in option ? [...option.choices] : null,
    length: "length" in option ? option.length : null,
    description: option.doc,
  };
}

/** The state by default, and what each hyperparameter, changed alone, adds to it. */
function stateOf({ options, state }: OptimizerType): Pick<OptimizerEntry, "state" | "state_bytes_per_parameter"> {
  const defaults = Object.fromEntries(Object.entries(options).map(([name, option]) => [name, option.default]));
  const tensors = (changes: object) => state({ ...defaults, ...changes } as never);
  const always = tensors({});
  const found = new Map<string, StateTensor & { option: string | null }>();
  for (const tensor of always) found.set(tensor.name, { ...tensor, option: null });
  for (const [name, option] of Object.entries(options)) {
    for (const value of otherValues(option)) {
      for (const tensor of tensors({ [name]: value })) {
        if (!found.has(tensor.name)) found.set(tensor.name, { ...tensor, option: name });
      }
    }
  }
  return { state: [...found.values()], state_bytes_per_parameter: 4 * always.length };
}

/** Values that an option may have instead of its default: all where they are few, else one. */
function otherValues(option: Option): unknown[] {
  switch (option.kind) {
    case "boolean":
      return [!option.default];
    case "choice":
      return option.choices.filter((choice) => choice !== option.default);
    case "number":
    case "integer":
      return [option.default ? 0 : 1];
    default:
      return [];
  }
}
