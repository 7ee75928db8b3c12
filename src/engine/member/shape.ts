/** The lengths of a tensor's dimensions. */
export type Shape = readonly number[];

/** Most dimensions of a sample, in the data and in a model. */
export const MAX_DIMENSIONS = 8;

/** How many elements a tensor of this shape has. */
export function size(shape: Shape): number {
  return shape.reduce((product, length) => product * length, 1);
}

/**
 * Whether arrays of one shape give those of another as they are: the numbers are as many, and their
 * dimensions do not merely stand in another order, as those of images with their channels last.
 */
export function fitsShape(given: Shape, taken: Shape): boolean {
  if (size(given) !== size(taken)) return false;
  const [from, to] = [given, taken].map((shape) => shape.filter((length) => length !== 1));
  return String(from) === String(to) || String(from.toSorted(byLength)) !== String(to.toSorted(byLength));
}

const byLength = (a: number, b: number): number => a - b;

/** A shape as messages and documents write it: `[16, 5, 5]`. */
export function shapeText(shape: Shape): string {
  return `[${shape.join(", ")}]`;
}

/**
 * What the elements of a value are: numbers, or whole numbers from 0 such as classes and tokens.
 */
export type ElementType = "float32" | "int32";

/** What the outputs of a model say of classes, or of yes and no. Scores are numbers of any size. */
export type OutputKind = "scores" | "probabilities" | "log_probabilities";
