import type { Kernels } from "../../kernels/kernels.ts";
import { shapeText, size, type Shape } from "../../member/shape.ts";
import { LayerFault, type Layer, type LayerPlace, type LayerShape, type ParameterShape } from "../layer.ts";

/*
 * What layer_norm and rms_norm share: the last dimensions of a sample are a row, and each row is
 * normalized for itself.
 */

/** What a layer that normalizes rows says of itself. */
export interface RowNorm {
  /** Whether the mean is subtracted. */
  readonly centered: boolean;
  readonly eps: number;
}

/** The shapes of a sample whose rows have the shape `given`; null: that of the last dimension. */
export function rowShapes(given: readonly number[] | null, input: Shape, names: readonly string[]): LayerShape {
  const shape = given ?? input.slice(-1);
  const ending = input.slice(Math.max(0, input.length - shape.length));
  if (String(shape) !== String(ending)) {
    throw new LayerFault(
      "normalized_shape",
      `is ${shapeText(shape)}, but the input is ${shapeText(input)}: give its last dimensions, or leave it out`,
    );
  }
  const rows = size(input) / size(shape);
  const rowCost = (rows * size(shape)) / shape[0];
  const parameter = (name: string): ParameterShape => {
    const initializer = { distribution: "constant", value: name === "weight" ? 1 : 0 } as const;
    return { name, shape, initializer, rowCost };
  };
  return { output: input, parameters: names.map(parameter), saved: 2 * rows, inferred: { normalized_shape: shape } };
}

/** The passes; `shape` is that of a row. */
export function rowNorm(kernels: Kernels, { centered, eps }: RowNorm, shape: Shape, place: LayerPlace): Layer {
  const [{ address: x, gradient: dx, size: sample }] = place.inputs;
  const { address: y, gradient: dy } = place.output;
  const n = size(shape);
  const rows = sample / n;
  const bytes = sample * 4;
  const stretch = n / shape[0];
  const saved = (begin: number) => place.saved + begin * rows * 8;
  return {
    forward([weight = 0, bias = 0], begin, end) {
      const [from, to, count] = [x + begin * bytes, y + begin * bytes, (end - begin) * rows];
      kernels.row_norm_forward(from, to, weight, bias, saved(begin), count, n, eps, Number(centered));
    },
    backward([weight = 0], begin, end) {
      const at = begin * bytes;
      const count = (end - begin) * rows;
      kernels.row_norm_backward(x + at, dy + at, dx + at, weight, saved(begin), count, n, Number(centered));
    },
    gradient(parameter, begin, end, samples) {
      const out = place.gradients[parameter];
      const [from, to] = [begin * stretch, end * stretch];
      if (parameter === 1) kernels.column_sums(out, dy, n * 4, samples * rows, from, to);
      else kernels.row_norm_gradient(out, x, dy, place.saved, samples * rows, n, from, to);
    },
  };
}
