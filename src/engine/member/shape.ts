/** The lengths of a tensor's dimensions. */
export type Shape = readonly number[];

/** Most dimensions of a sample, in the data and in a model. */
export const MAX_DIMENSIONS = 8;

/** How many elements a tensor of this shape has. */
export function size(shape: Shape): number {
  return shape.reduce((product, length) => product * length, 1);
}

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
