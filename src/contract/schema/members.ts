/**
 * The zod schema of a kind of member, made from the engine's declarations. A new folder there
 * becomes a new branch of the union here.
 */
import { z } from "zod";
import type { Bounds, Description, Option, Options, Registry, ValueOf } from "../../engine/member/options.ts";
import type { Member } from "../../engine/settings.ts";
import { explainKeys, unknownKey } from "../resolve/faults.ts";
import { listOf } from "./list.ts";

/** If there are no common options, zod's types would say that there are no options at all. */
type MemberSchema<C extends z.ZodRawShape> = keyof C extends never
  ? z.ZodType<Member, Member>
  : z.ZodType<Member & z.output<z.ZodObject<C>>, Member & z.input<z.ZodObject<C>>>;

/**
 * A union over `type` of every member of a registry, each a strict object of its own options and
 * the `common` ones. Members within a member have only their own options.
 * @param of the folder of the kind. @param kind what follows the type in the names of the
 * components: `AdamOptimizer`.
 */
export function memberUnion<C extends z.ZodRawShape>(
  of: string,
  kind: string,
  registry: Registry<Description>,
  common: C,
): MemberSchema<C> {
  definePart(of, unionOf(registry, {}, `${kind}Part`).meta({ id: `${kind}Part` }));
  return unionOf(registry, common, kind) as unknown as MemberSchema<C>;
}

/**
 * The schemas of members among the options of other members, by kind. They are looked up when one
 * is needed, because kinds contain each other and themselves.
 */
const parts = new Map<string, z.ZodType>();

export function definePart(of: string, schema: z.ZodType): void {
  parts.set(of, schema);
}

const partOf = (of: string): z.ZodType => z.lazy(() => parts.get(of)!);

function unionOf(registry: Registry<Description>, common: z.ZodRawShape, kind: string): z.ZodType {
  // The branches are built at run time, so the type has only what they have in common.
  return discriminated("type", branchesOf(registry, common, kind));
}

/** A strict object for every member of a registry. */
export function branchesOf(registry: Registry<Description>, common: z.ZodRawShape, kind: string): z.ZodType[] {
  return Object.values(registry).map((member) => {
    const shape = { type: z.literal(member.type), ...optionSchemas(member.options), ...common };
    return strict(shape).meta(described(`${pascalCase(member.type)}${kind}`, member));
  });
}

/** Arguments of PyTorch's and Keras' modules that a spec does not have, and why. */
const OF_MODULES: Readonly<Record<string, string>> = {
  reduction: 'is always "mean" here: leave it out',
  size_average: "is always true here: leave it out",
  reduce: "is always true here: leave it out",
  ignore_index: "is ignore_class here, which takes the name of a class",
  batch_first: "is always true here: leave it out",
  track_running_stats: "is always true here: leave it out",
  padding_mode: 'is always "zeros" here: leave it out',
  inplace: "only changes how PyTorch computes, not what: leave it out",
  device: "only changes where PyTorch computes: leave it out",
  dtype: "is always float32 here: leave it out",
  requires_grad: 'is "freeze" in /parameter_groups here',
  trainable: 'is "freeze" in /parameter_groups here',
  units: "is out_features of linear, hidden_size of recurrent layers",
};

function strict(shape: z.ZodRawShape): z.ZodObject {
  const known = Object.keys(shape);
  const explain = (key: string) => (Object.hasOwn(OF_MODULES, key) ? OF_MODULES[key] : unknownKey(key, known));
  const error = (issue: z.core.$ZodRawIssue) =>
    issue.code === "unrecognized_keys" ? explainKeys(issue.keys, explain) : undefined;
  return z.strictObject(shape, { error });
}

/** The union of schemas that are built at run time. Each has another value in `key`. */
export function discriminated(key: string, schemas: readonly z.ZodType[]): z.ZodType {
  return z.discriminatedUnion(key, schemas as unknown as [z.core.$ZodTypeDiscriminable]);
}

/** The description of the component of a member. */
export function described(id: string, { summary, formula, source }: Description): { id: string; description: string } {
  return { id, description: `${summary}\n\n${formula}\n\n${source}` };
}

type OptionSchemas<O extends Options> = {
  [K in keyof O]: O[K] extends { readonly default: unknown }
    ? z.ZodDefault<z.ZodType<ValueOf<O[K]>>>
    : z.ZodType<ValueOf<O[K]>>;
};

export function optionSchemas<O extends Options>(options: O): OptionSchemas<O> {
  const schemas = Object.entries(options).map(([name, option]) => [name, optionSchema(option)]);
  return Object.fromEntries(schemas) as OptionSchemas<O>;
}

function optionSchema(option: Option): z.ZodType {
  const plain = plainSchema(option);
  if (option.default === undefined) return plain.describe(option.doc);
  const nullable = option.default === null || isNullable(option) ? plain.nullable() : plain;
  return nullable.default(option.default).describe(option.doc);
}

const isNullable = (option: Option): boolean => option.kind === "number" && option.nullable === true;

function plainSchema(option: Option): z.ZodType {
  switch (option.kind) {
    case "number":
      return bounded(z.number(), option);
    case "integer":
      return bounded(z.int(), option);
    case "boolean":
      return z.boolean();
    case "choice":
      return z.enum(option.choices);
    case "numbers":
      return numbersOf(bounded(z.number(), option), option.length);
    case "integers":
      return numbersOf(bounded(z.int(), option), option.length, option.most);
    case "sizes":
      return sizes(option);
    case "column_sizes":
      return columnSizes(option);
    case "member":
      return partOf(option.of);
    case "members":
      return z.array(partOf(option.of)).min(1).max(MAX_PARTS);
    case "class_numbers":
      return z.record(z.string(), z.number().min(0));
    case "class":
      return z.string();
    case "parameter":
      return z.string().min(1).max(1024);
  }
}

function sizes(option: Option & { readonly kind: "sizes" }): z.ZodType {
  const { length, choices = [] } = option;
  const one = bounded(z.int(), option);
  const words = choices.map((choice) => z.literal(choice));
  const forms = ["an integer", length === 1 ? "a list of one" : `a list of ${length}`, ...choices.map((c) => `"${c}"`)];
  const error = `must be ${forms.slice(0, -1).join(", ")} or ${forms.at(-1)}`;
  return z.union([one, listOf(one).length(length), ...words], { error });
}

function columnSizes(option: Bounds): z.ZodType {
  const one = bounded(z.int(), option);
  const error = "must be an integer, or an object of integers by column";
  return z.union([one, z.record(z.string(), one)], { error });
}

/** Length of the longest list, unless the option has a bound of its own. */
const MAX_NUMBERS = 10_000;

/** Most parts of a member. */
const MAX_PARTS = 16;

function numbersOf(item: z.ZodNumber, length: number | null, most = MAX_NUMBERS): z.ZodType {
  const list = listOf(item);
  return length === null ? list.max(most) : list.length(length);
}

function bounded(schema: z.ZodNumber, { min, max, above, below }: Bounds): z.ZodNumber {
  let result = schema;
  if (min !== undefined) result = result.min(min);
  if (max !== undefined) result = result.max(max);
  if (above !== undefined) result = result.gt(above);
  if (below !== undefined) result = result.lt(below);
  return result;
}

export function pascalCase(name: string): string {
  return name.replaceAll(/(?:^|_)([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}
