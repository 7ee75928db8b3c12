/**
 * Turns zod's issues into faults that help: one for each thing that is wrong, with an RFC 6901
 * pointer to it and what to do about it.
 *
 * Messages continue the sentence "<pointer> …", as in "/training/epochs must be at least 1".
 */
import { z } from "zod";

export interface Fault {
  readonly pointer: string;
  readonly message: string;
}

/** The JSON pointer of a path. */
export function pointer(path: readonly PropertyKey[]): string {
  return path.map((part) => `/${String(part).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}

/** Most faults that one answer describes. Those after them are only counted. */
export const MAX_FAULTS = 100;

/** Stands for a fault that is counted but not described. */
const UNDESCRIBED: Fault = { pointer: "", message: "is wrong" };

/**
 * The bounds on a value, so that checking it does not take long: plain values in an array, objects
 * and arrays in an array or members of an object, and all of these together. They are above what
 * the schemas allow.
 */
const MAX_ITEMS = 10_000;
const MAX_MEMBERS = 1000;
const MAX_IN_ALL = 100_000;
/**
 * How deep a value may be nested. Optimizers can wrap optimizers, and schedules and layers can
 * contain their own kind without end.
 */
export const MAX_DEPTH = 40;
/**
 * Most hints ("did you mean") in one parse. To compare 64 letters with some ten names takes 100 µs.
 */
const MAX_HINTS = 100;

let hintsLeft = 0;

/** The schema of the parse that is going on. */
let root: z.ZodType | null = null;

/**
 * Parses a value, or returns every fault.
 * @param unbounded the last two names of the path to a value that may have any number of members,
 * because the schema does not check each of them
 */
export function check<T extends z.ZodType>(
  schema: T,
  value: unknown,
  unbounded?: readonly [string, string],
): { value: z.output<T>; faults: null } | { value: null; faults: Fault[] } {
  const size = new SizeCheck(unbounded);
  size.visit(value);
  if (size.faults.length > 0) return { value: null, faults: size.faults };
  hintsLeft = MAX_HINTS;
  root = schema;
  const result = schema.safeParse(value, { error: explain });
  // zod asks for the messages only here.
  const issues = result.success ? [] : withoutConsequences(result.error.issues);
  root = null;
  if (result.success) return { value: result.data, faults: null };
  const faults: Fault[] = [];
  for (const issue of issues) {
    for (const fault of faults.length < MAX_FAULTS ? faultsOf(issue, []) : undescribed(issue)) faults.push(fault);
  }
  return { value: null, faults };
}

function undescribed(issue: z.core.$ZodIssue): Fault[] {
  return Array.from({ length: issue.code === "unrecognized_keys" ? issue.keys.length : 1 }, () => UNDESCRIBED);
}

/** Refuses values that are too large or too deep, before a schema looks at them. */
class SizeCheck {
  readonly faults: Fault[] = [];
  readonly #unbounded: readonly [string, string] | undefined;
  readonly #path: string[] = [];
  #seen = 0;

  constructor(unbounded: readonly [string, string] | undefined) {
    this.#unbounded = unbounded;
  }

  visit(value: unknown): void {
    if (typeof value !== "object" || value === null || this.#isUnbounded()) return;
    if (this.#path.length === MAX_DEPTH) return this.#report("is nested too deeply");
    const plain = Array.isArray(value) && !value.some(isContainer);
    const keys = plain ? [] : Object.keys(value);
    const members = plain ? value.length : keys.length;
    this.#seen += members;
    if (this.#seen > MAX_IN_ALL) {
      this.faults.length = 0;
      this.faults.push({ pointer: "", message: `must have at most ${MAX_IN_ALL} members in all` });
      return;
    }
    const most = plain ? MAX_ITEMS : MAX_MEMBERS;
    if (members > most) return this.#report(`must have at most ${most} members, not ${members}`);
    for (const key of keys) {
      if (this.faults.length >= MAX_FAULTS || this.#seen > MAX_IN_ALL) return;
      this.#path.push(key);
      // The schema would drop it without a fault.
      if (key === "__proto__") this.#report("is a name that cannot be used");
      else this.visit((value as Record<string, unknown>)[key]);
      this.#path.pop();
    }
  }

  #isUnbounded(): boolean {
    const path = this.#path;
    return this.#unbounded !== undefined && path.at(-1) === this.#unbounded[1] && path.at(-2) === this.#unbounded[0];
  }

  #report(message: string): void {
    this.faults.push({ pointer: pointer(this.#path), message });
  }
}

function isContainer(value: unknown): boolean {
  return typeof value === "object" && value !== null;
}

/**
 * Without the issues that follow from a wrong type: zod also counts the letters of a string that
 * should be a list.
 */
function withoutConsequences(issues: readonly z.core.$ZodIssue[]): z.core.$ZodIssue[] {
  const mistyped = new Set(issues.filter(({ code }) => code === "invalid_type").map(({ path }) => pointer(path)));
  return issues.filter(({ code, path }) => code === "invalid_type" || !mistyped.has(pointer(path)));
}

function faultsOf(issue: z.core.$ZodIssue, base: readonly PropertyKey[]): Fault[] {
  const path = [...base, ...issue.path];
  if (issue.code === "unrecognized_keys") {
    const messages = issue.message.split("\n");
    return messages.map((message, i) => ({ pointer: pointer([...path, issue.keys[i]]), message }));
  }
  if (issue.code === "invalid_key") return [{ pointer: pointer(path), message: issue.issues[0].message }];
  if (issue.code === "invalid_union") {
    const meant = (issue.errors ?? []).filter(isMeant);
    if (meant.length === 1) return withoutConsequences(meant[0]).flatMap((inner) => faultsOf(inner, path));
  }
  return [{ pointer: pointer(path), message: issue.message }];
}

/**
 * Whether the client meant this branch of a union: the type of the value fits, and no required
 * option of the branch is missing.
 */
function isMeant(branch: readonly z.core.$ZodIssue[]): boolean {
  return !branch.some(
    ({ code, path, message }) =>
      (path.length === 0 && (code === "invalid_type" || code === "invalid_value")) ||
      (path.length === 1 && message === REQUIRED),
  );
}

const REQUIRED = "is required";

/** zod's error map for one parse. A schema with a better message gives it as its `error`. */
function explain(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case "invalid_type":
      return issue.input === undefined
        ? REQUIRED
        : `must be ${nameOf(issue.expected)}${membersOf(issue.inst)}, not ${describe(issue.input)}`;
    case "invalid_value":
      if (issue.input === undefined) return REQUIRED;
      return `must be ${oneOf(issue.values)}${hint(issue.input, issue.values)}`;
    case "too_small":
      return `must ${amount(issue.origin, boundWord(issue, "at least", "more than"), Number(issue.minimum))}`;
    case "too_big":
      return `must ${amount(issue.origin, boundWord(issue, "at most", "less than"), Number(issue.maximum))}`;
    case "invalid_format":
      return issue.format === "regex" ? `must match ${issue.pattern}` : `must be a ${issue.format}`;
    case "unrecognized_keys":
      return unknownKeys(issue.keys, issue.inst);
    case "invalid_union":
      return issue.discriminator ? unknownType(issue) : undefined;
    default:
      return undefined;
  }
}

function unknownType({ discriminator, input, options }: z.core.$ZodRawIssue<z.core.$ZodIssueInvalidUnion>): string {
  const value = (input as Record<string, unknown>)[discriminator ?? ""];
  const known = (options as readonly unknown[]).filter((option) => option !== undefined);
  if (value === undefined) return `is required: ${oneOf(known)}`;
  const guess = hint(value, known);
  // The list may be long, so the guess stands before it.
  return guess === "" ? `must be ${oneOf(known)}` : `is not known here${guess} It must be ${oneOf(known)}`;
}

/** Where a name belongs that stands in the wrong object, if only one place knows it. */
function homeOf(name: string): string | null {
  const fields: z.ZodRawShape = root instanceof z.ZodObject ? root.shape : {};
  if (Object.hasOwn(fields, name)) return "it stands at the top";
  const homes = Object.keys(fields).filter((field) => {
    const inner = unwrapped(fields[field]);
    return inner instanceof z.ZodObject && Object.hasOwn(inner.shape, name);
  });
  return homes.length === 1 ? `it is a member of ${JSON.stringify(homes[0])}` : null;
}

/** The schema without what allows null or gives a default. */
function unwrapped(schema: z.core.$ZodType): z.core.$ZodType {
  const { innerType } = schema._zod.def as { innerType?: z.core.$ZodType };
  return innerType === undefined ? schema : unwrapped(innerType);
}

/** One line for each key, in order. */
function unknownKeys(keys: readonly string[], schema: unknown): string {
  const known = schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
  return explainKeys(keys, (key) => unknownKey(key, known));
}

/** The message of an issue with several keys. `faultsOf` splits it again. */
export function explainKeys(keys: readonly string[], explain: (key: string) => string): string {
  return keys.map((key, i) => (i < MAX_FAULTS ? explain(key) : UNDESCRIBED.message)).join("\n");
}

export function unknownKey(key: string, known: readonly string[]): string {
  const home = homeOf(key);
  const elsewhere = home === null ? `; known: ${known.join(", ")}` : `; ${home}`;
  return `is not known here${hint(key, known) || elsewhere}`;
}

function nameOf(expected: string): string {
  if (expected === "int") return "an integer";
  if (expected === "record") return "an object";
  return /^[aeiou]/.test(expected) ? `an ${expected}` : `a ${expected}`;
}

/** The members that an object must have, or else may have. */
function membersOf(schema: unknown): string {
  if (schema instanceof z.ZodDiscriminatedUnion) return ` with "${schema.def.discriminator}"`;
  if (!(schema instanceof z.ZodObject)) return "";
  const names = Object.keys(schema.shape);
  const wanted = names.filter((name) => schema.shape[name]._zod.optin === undefined);
  if (names.length === 0) return "";
  return wanted.length > 0 ? ` with ${listed(wanted)}` : `, which may have ${listed(names)}`;
}

function describe(input: unknown): string {
  if (input === null) return "null";
  if (Array.isArray(input)) return "an array";
  if (typeof input === "number") return Number.isFinite(input) ? String(input) : "infinite";
  if (typeof input === "string" && input.length <= 40) return JSON.stringify(input);
  return nameOf(typeof input);
}

function boundWord(issue: { exact?: boolean; inclusive?: boolean }, inclusive: string, exclusive: string): string {
  if (issue.exact) return "exactly";
  return issue.inclusive ? inclusive : exclusive;
}

function amount(origin: string, bound: string, limit: number): string {
  const plural = limit === 1 ? "" : "s";
  if (origin === "string") return `have ${bound} ${limit} character${plural}`;
  if (origin === "array") return `have ${bound} ${limit} item${plural}`;
  return `be ${bound} ${limit}`;
}

function oneOf(values: readonly unknown[]): string {
  const names = values.map((value) => JSON.stringify(value));
  return names.length === 1 ? names[0] : `one of ${names.join(", ")}`;
}

/** The first ten names. */
export function listed(names: readonly string[]): string {
  const more = names.length > 10 ? ` and ${names.length - 10} more` : "";
  return (
    names
      .slice(0, 10)
      .map((name) => JSON.stringify(name))
      .join(", ") + more
  );
}

/** `didYouMean` within one parse, which gives at most `MAX_HINTS` hints. */
function hint(given: unknown, candidates: readonly unknown[]): string {
  return hintsLeft-- > 0 ? didYouMean(given, candidates) : "";
}

/** Length of the longest name that is compared with others. */
const MAX_COMPARED = 64;

/** `; did you mean "adam"?`, or an empty string if no candidate is near. */
export function didYouMean(given: unknown, candidates: readonly unknown[]): string {
  if (typeof given !== "string" || given.length > MAX_COMPARED) return "";
  const most = Math.max(1, Math.floor(given.length / 3));
  let [best, least] = ["", most + 1];
  for (const candidate of candidates) {
    if (typeof candidate !== "string" || candidate.length > MAX_COMPARED) continue;
    const found = distance(plain(given), plain(candidate));
    if (found < least) [best, least] = [candidate, found];
  }
  return least > most ? "" : `; did you mean ${JSON.stringify(best)}?`;
}

/**
 * The name without what does not matter: `CrossEntropy` and `cross-entropy` are spellings of
 * `cross_entropy`.
 */
function plain(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z0-9]/g, "");
}

/** The number of typing mistakes between the names. An abbreviation counts as one mistake. */
function distance(given: string, known: string): number {
  if (given === known) return 0;
  if (given.length >= 3 && known.startsWith(given)) return 1;
  return editDistance(given, known);
}

/**
 * The distance of Damerau and Levenshtein: letters inserted, left out, replaced, or swapped with
 * their neighbour.
 */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const replaced = row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      next[j] = Math.min(next[j - 1] + 1, row[j] + 1, replaced, swapped ? before[j - 2] + 1 : Infinity);
    }
    [before, row] = [row, next];
  }
  return row[b.length];
}

/** A size, for a message. */
export function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
