/** Nested arrays of numbers, and the elements of a sample that they are. */
import { shown } from "../data/columns/cell-reader.ts";
import type { NamedValue } from "../engine/plan/graph.ts";
import { size, type Shape } from "../engine/member/shape.ts";

export const TOO_LARGE = "is too large for the model's 32-bit numbers";

/** Why a number is not among the whole numbers below `range`; null if it is. */
export function wholeFault(value: number, range: number): string | null {
  if (Number.isInteger(value) && value >= 0 && value < range) return null;
  return `is ${value}; the model knows the whole numbers from 0 to ${range - 1}`;
}

/** Called with the path to a fault within the sample. */
type OnFault = (path: readonly number[], message: string) => void;

/**
 * Writes the elements of sample `row`. Its arrays have the shape of the input, without the
 * dimensions of 1 or with them, or are a single one.
 */
export function writeElements(
  sample: unknown,
  input: NamedValue,
  elements: Float64Array,
  row: number,
  onFault: OnFault,
): void {
  const { shape } = input;
  const given = shapeOf(sample);
  const width = size(shape);
  if (String(squeezed(given)) !== String(squeezed(shape)) && String(given) !== String([width])) {
    const own = given.length === 0 ? shown(sample) : `an array of ${given.join(" × ")}`;
    return onFault([], `is ${own}, but the model takes ${shape.join(" × ")}${shape.length === 1 ? " numbers" : ""}`);
  }
  let at = row * width;
  const leaf = (value: unknown, path: readonly number[]) => {
    const fault = leafFault(value, rangeAt(input, at - row * width));
    if (fault !== null) onFault(path, fault);
    elements[at++] = typeof value === "number" ? value : Number.NaN;
  };
  walk(sample, given, [], leaf, onFault);
}

function walk(
  value: unknown,
  [length, ...inner]: Shape,
  path: readonly number[],
  leaf: (value: unknown, path: readonly number[]) => void,
  onFault: OnFault,
): void {
  if (length === undefined) return leaf(value, path);
  if (!Array.isArray(value) || value.length !== length) {
    const what = Array.isArray(value) ? `has ${value.length} items` : `is ${shown(value)}`;
    return onFault(path, `${what}; the arrays beside it have ${length} items`);
  }
  for (let i = 0; i < length; i++) walk(value[i], inner, [...path, i], leaf, onFault);
}

/** How many whole numbers from 0 an element may be; null: it may be any number. */
export function rangeAt({ type, categories = null }: NamedValue, element: number): number | null {
  if (type !== "int32") return null;
  return typeof categories === "number" ? categories : (categories?.[element] ?? 2 ** 31);
}

/** Why a value is no element; null if it is. */
export function leafFault(value: unknown, range: number | null): string | null {
  if (typeof value !== "number") return `must be a number, not ${shown(value)}`;
  if (range !== null) return wholeFault(value, range);
  return Number.isFinite(value) ? null : TOO_LARGE;
}

/** The shape by the first item of each array. */
function shapeOf(value: unknown): number[] {
  const shape: number[] = [];
  for (let inner = value; Array.isArray(inner) && shape.length < 9; inner = inner[0]) shape.push(inner.length);
  return shape;
}

const squeezed = (shape: Shape): Shape => shape.filter((length) => length !== 1);
