/** The lengths of a tensor's dimensions. */
export type Shape = readonly number[];

/** How many elements a tensor of this shape has. */
export function size(shape: Shape): number {
  return shape.reduce((product, length) => product * length, 1);
}
