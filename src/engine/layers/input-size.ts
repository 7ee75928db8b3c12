import { shapeText, size, type Shape } from "../member/shape.ts";
import { LayerFault } from "./layer.ts";

/**
 * Compares the size of the input that a spec gives with the one that the input has.
 * @param dim the dimension that it is about: 0 the first one, −1 the last one
 * @throws LayerFault where they differ
 */
export function checkInputSize(option: string, given: number | null, shape: Shape, dim: 0 | -1): void {
  const found = shape.at(dim);
  if (given === null || given === found) return;
  const which = dim === 0 ? "first" : "last";
  const remedy = remedyOf(given, shape, dim);
  throw new LayerFault(
    option,
    `is ${given}, but the ${which} dimension of the input ${shapeText(shape)} is ${found}; ${remedy}leave it out`,
  );
}

/** Those who give the size of another dimension, or of all, most likely forgot a layer. */
function remedyOf(given: number, shape: Shape, dim: 0 | -1): string {
  if (dim === -1 && given === size(shape)) return "put a flatten before the layer, or ";
  const from = shape.indexOf(given);
  if (from === -1) return "";
  const others = shape.map((_, i) => i).filter((i) => i !== from);
  const dims = dim === 0 ? [from, ...others] : [...others, from];
  return `put {"type": "permute", "dims": ${shapeText(dims)}} before the layer, or `;
}
