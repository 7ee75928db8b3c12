import type { Kernels } from "../kernels/kernels.ts";
import { size, type Shape } from "../member/shape.ts";
import { LossFault, type LossPlace, type TargetShape } from "./loss.ts";

/*
 * What losses over classes have in common: an output for each class, a term for each target, and
 * options that name classes.
 */

/** An index that no class has. */
export const NO_CLASS = -1;

export const weightOption = {
  kind: "class_numbers",
  default: null,
  doc: 'Weights by class, such as {"rare": 5}; classes that are left out have the weight 1.',
} as const;

export const ignoreOption = {
  kind: "class",
  default: null,
  doc: "A class whose samples count neither in the loss nor in metrics (PyTorch's ignore_index, by name). The model has an output for it all the same.",
} as const;

/** @throws LossFault where the target has no classes */
export function classPrediction({ classes, shape }: TargetShape): Shape {
  if (classes === null) throw new LossFault(null, "needs a target with classes");
  return [...shape, classes];
}

export const classTerms = (prediction: Shape): number => size(prediction.slice(0, -1));

/** @throws RangeError where it is no class; options that name classes were checked before. */
export function classIndex({ classes }: LossPlace, name: string): number {
  const index = classes?.indexOf(name) ?? NO_CLASS;
  if (index === NO_CLASS) throw new RangeError(`"${name}" is not a class of the target`);
  return index;
}

/** Writes the weight of each class to the constants. */
export function writeClassWeights(
  kernels: Kernels,
  weight: Readonly<Record<string, number>> | null,
  place: LossPlace,
): void {
  const first = place.constants >>> 2;
  kernels.f32.fill(1, first, first + place.outputs);
  for (const [name, value] of Object.entries(weight ?? {})) kernels.f32[first + classIndex(place, name)] = value;
}
