/**
 * Values from the schemas of openapi.yaml, and what spoils them. Everything is drawn from one
 * seeded generator, so that a seed names a value.
 *
 * `fitting` gives a value that its schema allows, and prefers small ones: they lead somewhere.
 * `spoiled` changes a value in one place.
 */
import { openapi, type Schema } from "./described.ts";

/** Draws of one seed (mulberry32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** In [0, 1). */
  unit(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let word = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61);
    return ((word ^ (word >>> 14)) >>> 0) / 2 ** 32;
  }

  /** From 0 to `count` − 1. */
  below(count: number): number {
    return Math.floor(this.unit() * count);
  }

  chance(probability: number): boolean {
    return this.unit() < probability;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)];
  }
}

const CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz";
const ID = /^\^(\w+_)\[0-(?:7|9a-z).*\$$/;

/** What has the patterns that the API knows, by how they begin. A new one wants a line here. */
const patterns: Record<string, (random: Random) => string> = {
  "^(?:train_loss|": (random) =>
    random.pick(["train_loss", "valid_loss", "valid_accuracy", "grad_norm", "grad_norm.0"]),
  "^\\d{1,15}$": (random) => String(random.below(random.pick([3, 20, 10 ** 15]))),
  "^[A-Za-z0-9_-]{1,64}$": (random) => text(random, "abcXYZ019_-", 1, 12),
  "^[a-z0-9_]{1,64}$": (random) => text(random, "abcxyz019_", 1, 12),
  "^[^\\s\"',;|]{1,16}$": (random) => text(random, "#%/x", 1, 2),
  "^(number|-?(rows|steps|": (random) => random.pick(["number", "-rows", "steps", "-metric.valid_loss"]),
  "^[0-9a-f]{64}$": (random) => text(random, "0123456789abcdef", 64, 64),
};

function text(random: Random, alphabet: string, least: number, most: number): string {
  return Array.from(
    { length: least + random.below(most - least + 1) },
    () => alphabet[random.below(alphabet.length)],
  ).join("");
}

/** An id that nothing has. */
export function freshId(random: Random, prefix: string): string {
  return `${prefix}0${text(random, CROCKFORD, 25, 25)}`;
}

export function fitting(schema: Schema, random: Random, depth = 0): unknown {
  if ("$ref" in schema) {
    return fitting(openapi.components.schemas[(schema.$ref as string).split("/").at(-1)!], random, depth);
  }
  if ("const" in schema) return schema.const;
  if ("enum" in schema) return random.pick(schema.enum as unknown[]);
  if ("default" in schema && random.chance(0.3)) return structuredClone(schema.default);
  if ("examples" in schema && random.chance(0.3)) return structuredClone(random.pick(schema.examples as unknown[]));
  const choices = (schema.anyOf ?? schema.oneOf) as Schema[] | undefined;
  if (choices !== undefined) return fitting(random.pick(choices), random, depth);
  switch (random.pick([schema.type].flat())) {
    case "object":
      return fittingObject(schema, random, depth);
    case "array":
      return fittingArray(schema, random, depth);
    case "string":
      return fittingString(schema, random);
    case "integer":
      return Math.round(fittingNumber(schema, random));
    case "number":
      return fittingNumber(schema, random);
    case "boolean":
      return random.chance(0.5);
    case "null":
      return null;
    default:
      return random.pick(strange);
  }
}

function fittingObject(schema: Schema, random: Random, depth: number): Record<string, unknown> {
  const { properties = {}, required = [] } = schema as { properties?: Record<string, Schema>; required?: string[] };
  // The deeper, the less: what contains itself must end.
  const optional = 0.4 / (1 + depth);
  const names = Object.keys(properties).filter((name) => required.includes(name) || random.chance(optional));
  const entries = names.map((name) => [name, fitting(properties[name], random, depth + 1)] as const);
  const { propertyNames, additionalProperties: more } = schema as {
    propertyNames?: Schema;
    additionalProperties?: Schema;
  };
  const extra = propertyNames === undefined ? 0 : random.below(3);
  const named = Array.from({ length: extra }, () => [
    String(fitting(propertyNames!, random)),
    fitting(more ?? {}, random, depth + 1),
  ]);
  return Object.fromEntries([...entries, ...named]);
}

function fittingArray(schema: Schema, random: Random, depth: number): unknown[] {
  const {
    minItems = 0,
    maxItems = Infinity,
    items,
    prefixItems,
  } = schema as {
    minItems?: number;
    maxItems?: number;
    items?: Schema;
    prefixItems?: Schema[];
  };
  if (prefixItems !== undefined) return prefixItems.map((item) => fitting(item, random, depth + 1));
  const length = Math.min(minItems + random.below(Math.max(1, 4 - depth)), maxItems);
  return Array.from({ length }, () => fitting(items ?? {}, random, depth + 1));
}

function fittingString(schema: Schema, random: Random): string {
  const {
    pattern,
    minLength = 0,
    maxLength = 20,
  } = schema as { pattern?: string; minLength?: number; maxLength?: number };
  if (pattern === undefined) {
    return text(random, 'abc xyz09._-/~%"\\ü€\n', minLength, Math.min(maxLength, minLength + 10));
  }
  const prefix = ID.exec(pattern)?.[1];
  if (prefix !== undefined) return freshId(random, prefix);
  const known = Object.entries(patterns).find(([start]) => pattern.startsWith(start))?.[1];
  if (known === undefined) throw new Error(`test/api/generate.ts has nothing for the pattern ${pattern}`);
  return known(random);
}

function fittingNumber(schema: Schema, random: Random): number {
  const { type, minimum, maximum, exclusiveMinimum, exclusiveMaximum } = schema as Record<string, number | undefined>;
  const step = String(type) === "integer" ? 1 : 1e-9;
  const least = minimum ?? (exclusiveMinimum === undefined ? -10 : exclusiveMinimum + step);
  const most = maximum ?? (exclusiveMaximum === undefined ? Infinity : exclusiveMaximum - step);
  // Mostly near the lower bound, since large numbers are mostly refused for what they would cost.
  const span = Math.min(most - least, random.pick([0, 1, 4, 30, 1e6]));
  return least + random.unit() * span;
}

/** Values of every type that JSON has, and then some. */
export const strange: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -0,
  -1,
  1.5,
  1e308,
  -1e308,
  5e-324,
  2 ** 53,
  2 ** 31,
  100_001,
  "",
  "full",
  "0",
  "NaN",
  "__proto__",
  "constructor",
  "\0",
  "\ud800",
  "x".repeat(3000),
  [],
  {},
  [[]],
  [null],
  { toString: 1 },
  { type: "adam" },
  { type: ["adam"] },
  { length: 1e9 },
];

/** Where only text can be. */
export const strangeTexts = strange.filter((value) => typeof value !== "object").map(String);

/** The value with one place of it replaced, removed, added to, or put under another name. */
export function spoiled(value: unknown, random: Random): unknown {
  const places = pathsOf(value);
  const path = random.pick(places);
  return changed(value, path, (found) => {
    if (Array.isArray(found) && random.chance(0.3)) return [...found, random.pick([...found, ...strange])];
    if (isObject(found) && random.chance(0.3)) return { ...found, [unknownName(found, random)]: random.pick(strange) };
    if (isObject(found) && random.chance(0.5)) return without(found, random);
    if (typeof found === "number" && random.chance(0.5))
      return random.pick([-found, found + 1, found * 1e6, found / 3]);
    if (typeof found === "string" && random.chance(0.5))
      return random.pick([found.slice(1), `${found} `, found.toUpperCase()]);
    return random.pick(strange);
  });
}

/**
 * Sometimes one that is nearly known, which is then suggested; sometimes one with a meaning in
 * JavaScript.
 */
function unknownName(found: object, random: Random): string {
  const known = Object.keys(found).map((name) => `${name}s`);
  return random.pick([...known, "x", "", "__proto__", "constructor", "a/b~c", "toString"]);
}

function without(found: object, random: Random): object {
  const gone = random.pick(Object.keys(found));
  return Object.fromEntries(Object.entries(found).filter(([name]) => name !== gone));
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function pathsOf(value: unknown, base: readonly string[] = []): (readonly string[])[] {
  if (typeof value !== "object" || value === null) return [base];
  return [base, ...Object.entries(value).flatMap(([key, inner]) => pathsOf(inner, [...base, key]))];
}

function changed(value: unknown, [key, ...rest]: readonly string[], change: (found: unknown) => unknown): unknown {
  if (key === undefined) return change(value);
  const copy = (Array.isArray(value) ? [...value] : { ...(value as object) }) as Record<string, unknown>;
  copy[key] = changed(copy[key], rest, change);
  return copy;
}

/** Of a path; what HTTP itself does not allow is left out. */
export function segment(random: Random): string {
  const text = random.pick([
    ...strangeTexts,
    "..",
    ".",
    "%",
    "%2f",
    "%ff",
    "%00",
    ":id",
    "*",
    "jobs",
    "metrics",
    "job_",
  ]);
  return random.chance(0.5)
    ? text.replaceAll(/[^\u0021-\u007e]/g, "")
    : encodeURIComponent(text.replaceAll(/[\ud800-\udfff]/g, ""));
}
