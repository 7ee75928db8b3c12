/** The zod schema of a kind of member, from the engine's declarations: a new folder there is a new branch of the union here. */
import { z } from "zod";
import type { Bounds, Description, Member, Option, Options, ValuesOf } from "../engine/options.ts";

/** Of no common options zod's types would say that there are no others either. */
type MemberSchema<C extends z.ZodRawShape> = keyof C extends never
  ? z.ZodType<Member, Member>
  : z.ZodType<Member & z.output<z.ZodObject<C>>, Member & z.input<z.ZodObject<C>>>;

/**
 * A union over `type` of every member of a registry, each a strict object of its own options and the `common` ones.
 * @param kind what follows the type in the names of the components: `AdamOptimizer`.
 */
export function memberUnion<C extends z.ZodRawShape>(
  kind: string,
  registry: Readonly<Record<string, Description>>,
  common: C,
): MemberSchema<C> {
  const branches = Object.values(registry).map((member) => {
    const shape = { type: z.literal(member.type), ...optionSchemas(member.options), ...common };
    return z.strictObject(shape).meta(described(`${pascalCase(member.type)}${kind}`, member));
  });
  // The branches are built at run time, so what they have in common is all that the type can say.
  return discriminated("type", branches) as unknown as MemberSchema<C>;
}

/** The union of schemas built at run time, each with another value in `key`. */
export function discriminated(key: string, schemas: readonly z.ZodType[]): z.ZodType {
  return z.discriminatedUnion(key, schemas as unknown as [z.core.$ZodTypeDiscriminable]);
}

/** What a member's component says of it. */
export function described(id: string, { summary, formula, source }: Description): { id: string; description: string } {
  return { id, description: `${summary}\n\n${formula}\n\n${source}` };
}

type OptionSchemas<O extends Options> = {
  [K in keyof O]: O[K] extends { readonly default: unknown }
    ? z.ZodDefault<z.ZodType<ValuesOf<O>[K]>>
    : z.ZodType<ValuesOf<O>[K]>;
};

/** @param optimizer the schema of options that are optimizers themselves. */
export function optionSchemas<O extends Options>(options: O, optimizer: z.ZodType = z.never()): OptionSchemas<O> {
  const schemas = Object.entries(options).map(([name, option]) => [name, optionSchema(option, optimizer)]);
  return Object.fromEntries(schemas) as OptionSchemas<O>;
}

function optionSchema(option: Option, optimizer: z.ZodType): z.ZodType {
  const plain = option.kind === "optimizer" ? optimizer : plainSchema(option);
  if (option.default === undefined) return plain.describe(option.doc);
  const nullable = option.default === null ? plain.nullable() : plain;
  return nullable.default(option.default).describe(option.doc);
}

function plainSchema(option: Exclude<Option, { kind: "optimizer" }>): z.ZodType {
  switch (option.kind) {
    case "number":
      return bounded(z.number(), option);
    case "integer":
      return bounded(z.int(), option);
    case "boolean":
      return z.boolean();
    case "choice":
      return z.enum(option.choices);
    case "numbers": {
      const list = z.array(bounded(z.number(), option));
      return option.length === null ? list.max(MAX_NUMBERS) : list.length(option.length);
    }
    case "class_numbers":
      return z.record(z.string(), z.number().min(0));
    case "class":
      return z.string();
  }
}

/** How long a list of any length may be. */
const MAX_NUMBERS = 10_000;

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
