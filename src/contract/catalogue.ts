/**
 * The catalogue: descriptions of the engine's members. A new member is in it as soon as its folder
 * exists. A new field of a kind's declarations needs a line in `catalogue` and one in the schema of
 * the kind.
 */
import { z } from "zod";
import { detectors } from "../engine/detectors/registry.generated.ts";
import { containers, type Container } from "../engine/plan/containers.ts";
import { specLayers } from "./schema/layers.ts";
import { losses } from "../engine/losses/registry.generated.ts";
import { optimizers } from "../engine/optimizers/registry.generated.ts";
import { configure } from "../engine/optimizers/configure.ts";
import type { OptimizerType } from "../engine/optimizers/optimizer.ts";
import { withDefaults, type Bounds, type Description, type Option, type Options } from "../engine/member/options.ts";
import { size } from "../engine/member/shape.ts";
import { schedules } from "../engine/schedules/registry.generated.ts";
import { policyOptions } from "./schema/detectors.ts";
import { timingOptions } from "./schema/spec.ts";
import { targetKinds, type TargetKind } from "../engine/training.ts";
import { list } from "./wire/common.ts";

/** The values that each kind of hyperparameter takes. */
const kinds = {
  number: "a number",
  integer: "an integer",
  boolean: "true or false",
  choice: "one of `choices`",
  numbers: "a list of numbers",
  integers: "a list of integers",
  sizes: "a list of `length` integers, one integer for all of them, or one of `choices`",
  column_sizes: "an integer for all columns, or an object of integers by column",
  member: "a member of the kind `of`, written like one of the spec itself",
  members: "a list of members of the kind `of`, with only their own options",
  class_numbers: "an object of numbers by class of the target",
  class: "the name of a class of the target",
  parameter: "the name of a parameter of an earlier layer",
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
      .union([z.number(), z.boolean(), z.string(), z.array(z.number()), z.record(z.string(), z.unknown())])
      .nullable()
      .describe("Its value if it is left out. Null if it is required, or if the default is null."),
    min: z.number().nullable().describe("Smallest value; in a list, of each number."),
    max: z.number().nullable().describe("Largest value."),
    above: z.number().nullable().describe("Values are greater than this."),
    below: z.number().nullable().describe("Values are less than this."),
    choices: z.array(z.string()).nullable(),
    of: z.string().nullable().describe("What kind of member it takes, as in `/v1/optimizers`."),
    length: z.int().nullable().describe("Length of a list; null if it may be any."),
    description: z.string(),
  })
  .meta({ id: "Hyperparameter", description: "An option of a member, which stands beside its `type` in a spec." });
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
    dialects: z
      .array(
        z.object({
          dialect: z.enum(["keras", "optax"]),
          formula: z.string(),
          source: z.string(),
          hyperparameters: z.array(Hyperparameter),
        }),
      )
      .describe("The forms that the optimizer has in other libraries, by the value of `dialect`."),
    state: z
      .array(
        z.object({
          name: z.string().describe("PyTorch's name; in a checkpoint it is `optimizer.<name>.<parameter>`."),
          initial: z
            .union([z.number(), z.literal("parameter")])
            .describe("Its initial value: a number, or a copy of the parameter."),
          option: z
            .string()
            .nullable()
            .describe("The hyperparameter that must be set for it; null if it is there by default."),
        }),
      )
      .describe("Float32 tensors that are kept between steps. Most have the shape of the parameter."),
    state_bytes_per_parameter: z
      .int()
      .min(0)
      .describe("Bytes they take by default for a large matrix, without the 4 bytes of the parameter itself."),
    evaluates_other_weights: z
      .boolean()
      .describe("Whether the weights that are evaluated and served differ from those that are trained."),
  })
  .meta({ id: "OptimizerEntry", description: "An optimizer." });
export type OptimizerEntry = z.infer<typeof OptimizerEntry>;

export const LayerEntry = z
  .object({
    ...member,
    holds: z.array(z.string()).describe("The fields of a container that hold layers; none of a layer."),
  })
  .meta({ id: "LayerEntry", description: "A layer, or a container of layers." });
export type LayerEntry = z.infer<typeof LayerEntry>;

const targetKindsListed = Object.entries(targetKinds)
  .map(([kind, meaning]) => `\`${kind}\` (${meaning})`)
  .join(", ");

export const LossEntry = z
  .object({
    ...member,
    targets: z
      .enum(Object.keys(targetKinds) as TargetKind[])
      .describe(`The targets it compares with: ${targetKindsListed}.`),
  })
  .meta({ id: "LossEntry", description: "A loss." });
export type LossEntry = z.infer<typeof LossEntry>;

export const ScheduleEntry = z.object(member).meta({ id: "ScheduleEntry", description: "A learning-rate schedule." });
export type ScheduleEntry = z.infer<typeof ScheduleEntry>;

export const DetectorEntry = z
  .object({
    ...member,
    needs: z
      .enum(["losses", "evaluations", "observations"])
      .describe("What it needs: evaluations exist with `data.validation`, and observations with `observe`."),
  })
  .meta({ id: "DetectorEntry", description: "Watches a training for one kind of fault." });
export type DetectorEntry = z.infer<typeof DetectorEntry>;

export const OptimizerList = list("Optimizer", OptimizerEntry);
export const LayerList = list("Layer", LayerEntry);
export const LossList = list("Loss", LossEntry);
export const ScheduleList = list("Schedule", ScheduleEntry);
export const DetectorList = list("Detector", DetectorEntry);

/** Shapes that show the state an optimizer keeps. */
const MATRIX = [1000, 1000];
const VECTOR = [1000];

const declaredOptimizers = Object.values(optimizers);

/** All members by kind, sorted by name. */
export const catalogue = {
  optimizers: declaredOptimizers
    .filter(({ dialect }) => dialect === undefined)
    .map((optimizer): OptimizerEntry => ({
      ...described(optimizer),
      dialects: declaredOptimizers.flatMap((other) => (other.type === optimizer.type ? dialectOf(other) : [])),
      ...stateOf(optimizer),
      evaluates_other_weights: optimizer.evaluatesOthers ?? false,
    })),
  layers: [...Object.values(specLayers), ...Object.values(containers)]
    .map((layer): LayerEntry => ({ ...described(layer), holds: "lists" in layer ? holds(layer) : [] }))
    .sort((one, other) => (one.type < other.type ? -1 : 1)),
  losses: Object.values(losses).map((loss): LossEntry => ({
    ...described(loss),
    targets: loss.targets,
  })),
  schedules: Object.values(schedules).map((schedule): ScheduleEntry => described(schedule, timingOptions)),
  detectors: Object.values(detectors).map((detector): DetectorEntry => ({
    ...described(detector, policyOptions(detector)),
    needs: detector.needs,
  })),
};

function holds({ lists, branches = false }: Container): string[] {
  return [...Object.keys(lists), ...(branches ? ["branches"] : [])];
}

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
    choices: "choices" in option && option.choices !== undefined ? [...option.choices] : null,
    of: "of" in option ? option.of : null,
    length: "length" in option ? option.length : null,
    description: option.doc,
  };
}

function dialectOf(optimizer: OptimizerType): OptimizerEntry["dialects"] {
  const { dialect } = optimizer;
  if (dialect === undefined || dialect === "torch") return [];
  const { formula, source, hyperparameters } = described(optimizer);
  return [{ dialect, formula, source, hyperparameters }];
}

/**
 * The default state of a matrix and of a vector, and what each hyperparameter adds to it if only
 * that is changed.
 */
function stateOf(optimizer: OptimizerType): Pick<OptimizerEntry, "state" | "state_bytes_per_parameter"> {
  const tensors = (changes: object) => {
    const { state } = configure(withDefaults(optimizer, { ...changes }));
    return [...state(MATRIX), ...state(VECTOR)];
  };
  const found = new Map<string, OptimizerEntry["state"][number]>();
  const add = (option: string | null, changes: object) => {
    for (const { name, initial } of tensors(changes)) if (!found.has(name)) found.set(name, { name, initial, option });
  };
  add(null, {});
  for (const [name, option] of Object.entries(optimizer.options))
    for (const value of otherValues(option)) add(name, { [name]: value });
  const sizes = configure(withDefaults(optimizer))
    .state(MATRIX)
    .map(({ shape = MATRIX }) => size(shape));
  const bytes = (4 * sizes.reduce((sum, count) => sum + count, 0)) / size(MATRIX);
  return { state: [...found.values()], state_bytes_per_parameter: Math.round(bytes) };
}

/** Values of an option besides its default: all if there are few, else one. */
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
