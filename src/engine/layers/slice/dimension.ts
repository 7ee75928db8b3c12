import { shapeText, type Shape } from "../../member/shape.ts";
import { LayerFault } from "../layer.ts";

/**
 * The dimension of a sample that a layer takes away.
 * @throws LayerFault where there is no such dimension, or nothing would be left
 */
export function dimensionOf(dim: number, shape: Shape): number {
  if (shape.length < 2)
    throw new LayerFault(
      null,
      `takes [time, features] or more dimensions, but the layer before gives ${shapeText(shape)}`,
    );
  return dimensionIn(dim, shape);
}

/** @throws LayerFault where the input has no such dimension */
export function dimensionIn(dim: number, shape: Shape): number {
  return placeOf("dim", dim, shape.length, `the dimensions of the input ${shapeText(shape)}`);
}

/**
 * A place from 0 to `length`, from one that may count from the end.
 * @throws LayerFault where there is none
 */
export function placeOf(option: string, place: number, length: number, what: string): number {
  const at = place < 0 ? place + length : place;
  if (at >= 0 && at < length) return at;
  const range = length === 0 ? "there are none" : `they go from 0 to ${length - 1}, or from −${length} to −1`;
  throw new LayerFault(option, `is ${place}, which is none of ${what}: ${range}`);
}
