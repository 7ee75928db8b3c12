/*
 * The space that a study searches: parts of a spec by JSON pointer, each with the values it may
 * have.
 *
 *     {"/optimizer": {"choice": [{"type": "sgd", "lr": 0.1}, {"type": "adam"}]},
 *      "/optimizer/lr": {"log_uniform": [1e-4, 1]},
 *      "/optimizer/momentum": {"uniform": [0, 0.99], "when": {"/optimizer/type": ["sgd"]}}}
 *
 * Parameters are set one after the other: first those that another one lies in or depends on. A
 * parameter with `when` is set only if all conditions hold in the spec as it is then. Each
 * condition points at a choice, or into its values.
 */
import { isDeepStrictEqual } from "node:util";
import { functionKernels } from "../engine/kernels/kernels.ts";

export type Domain =
  | { readonly kind: "choice"; readonly values: readonly unknown[] }
  | { readonly kind: "int" | "uniform" | "log_uniform"; readonly low: number; readonly high: number };

export interface Parameter {
  /** Where it lies in the spec (RFC 6901). */
  readonly pointer: string;
  readonly domain: Domain;
  /** The values that a part of the spec must have, by pointer. */
  readonly when: Readonly<Record<string, readonly unknown[]>>;
}

/** The positions of the parameters of a trial, each in [0, 1). A number may also be at 1. */
export type Positions = readonly number[];

export function tokensOf(pointer: string): string[] {
  return pointer
    .split("/")
    .slice(1)
    .map((token) => token.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/** Whether `outer` is `inner` or contains it. */
export function contains(outer: string, inner: string): boolean {
  return inner === outer || inner.startsWith(`${outer}/`);
}

/** Whether `later` can be set only after `earlier`. */
function dependsOn(later: Parameter, earlier: Parameter): boolean {
  if (later === earlier) return false;
  return [later.pointer, ...Object.keys(later.when)].some((pointer) => contains(earlier.pointer, pointer));
}

/** The parameters in the order in which they are set; null if some depend on each other. */
export function ordered(parameters: readonly Parameter[]): Parameter[] | null {
  const depth = ({ pointer }: Parameter) => tokensOf(pointer).length;
  const open = [...parameters].sort((a, b) => depth(a) - depth(b) || (a.pointer < b.pointer ? -1 : 1));
  const placed: Parameter[] = [];
  while (open.length > 0) {
    const next = open.findIndex((one) => !open.some((other) => dependsOn(one, other)));
    if (next === -1) return null;
    placed.push(...open.splice(next, 1));
  }
  return placed;
}

/** How many values a parameter has; infinitely many if it is continuous. */
export function sizeOf(domain: Domain): number {
  if (domain.kind === "choice") return domain.values.length;
  return domain.kind === "int" ? domain.high - domain.low + 1 : Infinity;
}

export function valueAt(domain: Domain, position: number): unknown {
  if (domain.kind === "choice") return domain.values[Math.floor(position * domain.values.length)];
  const { kind, low, high } = domain;
  if (kind === "int") return low + Math.floor(position * (high - low + 1));
  if (kind === "uniform") return Math.min(high, low + (high - low) * position);
  const { exp, log } = functionKernels();
  const value = exp(log(low) + (log(high) - log(low)) * position);
  return Math.min(high, Math.max(low, value));
}

/** The position of a value: that of a value of its own is the middle of its part of [0, 1). */
export function positionOf(domain: Domain, value: unknown): number {
  if (domain.kind === "choice") {
    const at = domain.values.findIndex((other) => isDeepStrictEqual(other, value));
    return (at + 0.5) / domain.values.length;
  }
  const { kind, low, high } = domain;
  const number = value as number;
  if (kind === "int") return (number - low + 0.5) / (high - low + 1);
  if (kind === "uniform") return inside((number - low) / (high - low));
  const { log } = functionKernels();
  return inside((log(number) - log(low)) / (log(high) - log(low)));
}

/** The largest double below 1. */
const LAST = 1 - 2 ** -53;

export function inside(position: number): number {
  return Math.min(LAST, Math.max(0, position));
}

export interface Placed {
  readonly spec: unknown;
  /** The values of the parameters that are set. */
  readonly values: Record<string, unknown>;
  /** The pointers of parameters that should be set, but lead nowhere. */
  readonly lost: readonly string[];
}

/**
 * Sets the parameters of a spec to the values at these positions. Neither the spec nor the values
 * are copied, as they may be large: what is given shares them.
 */
export function place(spec: unknown, parameters: readonly Parameter[], positions: Positions): Placed {
  let placed = spec;
  const values: Record<string, unknown> = {};
  const lost: string[] = [];
  parameters.forEach(({ pointer, domain, when }, i) => {
    const holds = Object.entries(when).every(([at, among]) => isAmong(valueIn(placed, at), among));
    if (!holds) return;
    const value = valueAt(domain, positions[i]);
    const next = withValue(placed, tokensOf(pointer), value);
    if (next === undefined) {
      lost.push(pointer);
      return;
    }
    placed = next;
    values[pointer] = value;
  });
  return { spec: placed, values, lost };
}

/** Sets the parameters of a spec to the values of a trial. */
export function withValues(
  spec: unknown,
  parameters: readonly Parameter[],
  values: Readonly<Record<string, unknown>>,
): unknown {
  return parameters.reduce((placed, { pointer }) => {
    if (!Object.hasOwn(values, pointer)) return placed;
    return withValue(placed, tokensOf(pointer), values[pointer]) ?? placed;
  }, spec);
}

function isAmong(value: unknown, among: readonly unknown[]): boolean {
  return value !== undefined && among.some((other) => isDeepStrictEqual(other, value));
}

/** The part of a value at a pointer; undefined if there is none. */
export function valueIn(value: unknown, pointer: string): unknown {
  return tokensOf(pointer).reduce<unknown>(memberOf, value);
}

function memberOf(value: unknown, token: string): unknown {
  return has(value, token) ? (value as Record<string, unknown>)[token] : undefined;
}

function has(value: unknown, token: string): boolean {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, token)) return false;
  return !(Array.isArray(value) && token === "length");
}

/**
 * `whole` with another value at a path; only what contains that place is copied. Undefined if it
 * cannot be set: what contains it must be there, and a list is not made longer.
 */
function withValue(whole: unknown, path: readonly string[], value: unknown): unknown {
  if (path.length === 0) return value;
  const [token, ...rest] = path;
  if (typeof whole !== "object" || whole === null) return undefined;
  if (Array.isArray(whole) && !has(whole, token)) return undefined;
  const inner = withValue(memberOf(whole, token), rest, value);
  if (inner === undefined) return undefined;
  const copy = Array.isArray(whole) ? [...(whole as unknown[])] : { ...whole };
  // Not an assignment: `__proto__` is a name like others.
  Object.defineProperty(copy, token, { value: inner, enumerable: true, configurable: true, writable: true });
  return copy;
}
