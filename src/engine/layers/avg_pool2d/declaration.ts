import type { Kernels } from "../../kernels/kernels.ts";
import type { Options } from "../../member/options.ts";
import type { Layer, LayerPlace, LayerShape, Needs, Value } from "../layer.ts";
import { byPlanes, poolingOf, poolOptions, type Windows } from "../pooling.ts";

/* What average pools of one and of two dimensions have in common. */

export const needs: Needs = { backward: [], gradient: [] };

export const optionsOf = <const N extends 1 | 2>(length: N) =>
  ({
    ...poolOptions(length),
    count_include_pad: {
      kind: "boolean",
      default: true,
      doc: "Whether elements of the padding count in the number that the sum is divided by.",
    },
  }) as const satisfies Options;

interface AverageOptions extends Windows {
  readonly count_include_pad: boolean;
  readonly divisor_override?: number | null;
}

export function shapeOf(options: Windows, [{ shape }]: readonly Value[], dimensions: 1 | 2): LayerShape {
  return { output: poolingOf(options, shape, dimensions).output, parameters: [] };
}

export function createOf(kernels: Kernels, options: AverageOptions, place: LayerPlace, dimensions: 1 | 2): Layer {
  const { rows, columns } = poolingOf(options, place.inputs[0].shape, dimensions);
  const pass = (kernel: typeof kernels.avg_pool_forward) => (to: number, from: number, planes: number) =>
    kernel(
      to,
      from,
      planes,
      rows.size,
      columns.size,
      rows.count,
      columns.count,
      rows.kernel,
      columns.kernel,
      rows.stride,
      columns.stride,
      rows.padding,
      columns.padding,
      options.count_include_pad ? 1 : 0,
      options.divisor_override ?? 0,
    );
  return byPlanes(place, pass(kernels.avg_pool_forward), pass(kernels.avg_pool_backward));
}
