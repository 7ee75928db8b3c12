/**
 * The zod schema of an optimizer: a type in one of its dialects. Each dialect of a type has the
 * options of its library. The message for an option of another dialect differs from that for one
 * that is misspelt.
 */
import { z } from "zod";
import type { Dialect, OptimizerType } from "../../engine/optimizers/optimizer.ts";
import { optimizers } from "../../engine/optimizers/registry.generated.ts";
import type { Member } from "../../engine/settings.ts";
import { explainKeys, unknownKey } from "../resolve/faults.ts";
import { definePart, described, discriminated, optionSchemas, pascalCase } from "./members.ts";

const LIBRARIES: Readonly<Record<Dialect, string>> = { torch: "PyTorch", keras: "Keras", optax: "optax" };

const declarations = Object.values(optimizers);

const types = [...new Set(declarations.map(({ type }) => type))].sort();

export const Optimizer = discriminated(
  "type",
  types.map((type) =>
    discriminated("dialect", declarations.filter((declared) => declared.type === type).map(schemaOf)),
  ),
).meta({ id: "Optimizer" }) as z.ZodType<Member, Member>;

definePart("optimizers", Optimizer);

function schemaOf(declared: OptimizerType): z.ZodType {
  const { type, dialect } = declared;
  const shape = {
    type: z.literal(type),
    dialect: dialectSchema(dialect),
    ...optionSchemas(declared.options),
  };
  const error = (issue: z.core.$ZodRawIssue) =>
    issue.code === "unrecognized_keys"
      ? explainKeys(
          issue.keys,
          (key) => foreign(key, declared) ?? elsewhere(key) ?? unknownKey(key, Object.keys(shape)),
        )
      : undefined;
  return z
    .strictObject(shape, { error })
    .meta(described(`${pascalCase(`${dialect ?? ""}_${type}`)}Optimizer`, declared));
}

function dialectSchema(dialect: Dialect | undefined): z.ZodType {
  const schema = dialect === undefined ? z.literal("torch").default("torch") : z.literal(dialect);
  return schema.describe("The library whose names, defaults and arithmetic are used.");
}

/**
 * The message for an option of another dialect of the type, which has another name in this dialect
 * or does not exist.
 */
function foreign(option: string, { type, dialect = "torch", options, names }: OptimizerType): string | null {
  const other = declarations.find((declared) => declared.type === type && Object.hasOwn(declared.options, option));
  if (other === undefined) return null;
  const common = Object.entries(other.names ?? {}).find(([, own]) => [own].flat().includes(option))?.[0] ?? option;
  const own = [names?.[common] ?? common].flat().filter((name) => name in options);
  const counterpart = own.length === 0 ? "there is no such option" : `it is ${own.join(" and ")}`;
  return `is the name in ${LIBRARIES[other.dialect ?? "torch"]}; in dialect ${dialect} ${counterpart}`;
}

/** Options that libraries give to the optimizer, and their places in a spec. */
const PLACES: Readonly<Record<string, string>> = {
  params: "parameter_groups",
  clipvalue: "training.clip_grad_value",
  global_clipnorm: "training.clip_grad_norm",
  use_ema: "training.averaging",
  ema_momentum: "training.averaging",
  ema_overwrite_frequency: "training.averaging",
  gradient_accumulation_steps: "training.gradient_accumulation_steps",
};

const SWITCHES = ["foreach", "fused", "capturable", "differentiable"];

function elsewhere(option: string): string | null {
  if (Object.hasOwn(PLACES, option)) return `is not an option of the optimizer here: set ${PLACES[option]}`;
  return SWITCHES.includes(option) ? "only changes how PyTorch computes, not what: leave it out" : null;
}
