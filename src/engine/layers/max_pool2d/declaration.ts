import type { Kernels } from "../../kernels/kernels.ts";
import type { Options } from "../../member/options.ts";
import { size } from "../../member/shape.ts";
import type { Layer, LayerPlace, LayerShape, Needs, Value } from "../layer.ts";
import { byPlanes, poolingOf, poolOptions, type Windows } from "../pooling.ts";
import { MAX_SIZE } from "../sliding.ts";

/* What maximum pools of one and of two dimensions have in common. */

/** The place that each window took is saved, as an integer. */
export const needs: Needs = { backward: ["saved"], gradient: [] };

export const optionsOf = <const N extends 1 | 2>(length: N) =>
  ({
    ...poolOptions(length),
    dilation: {
      kind: "sizes",
      length,
      default: 1,
      min: 1,
      max: MAX_SIZE,
      tries: [2],
      doc: "Distance between a window's elements.",
    },
  }) as const satisfies Options;

export function shapeOf(options: Windows, [{ shape }]: readonly Value[], dimensions: 1 | 2): LayerShape {
  const { output } = poolingOf(options, shape, dimensions);
  return { output, parameters: [], saved: size(output) };
}

export function createOf(kernels: Kernels, options: Windows, place: LayerPlace, dimensions: 1 | 2): Layer {
  const { rows, columns } = poolingOf(options, place.inputs[0].shape, dimensions);
  return byPlanes(
    place,
    (y, x, planes, from) =>
      kernels.max_pool_forward(
        y,
        place.saved + from * 4,
        x,
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
        rows.dilation,
        columns.dilation,
      ),
    (dx, dy, planes, from) =>
      kernels.max_pool_backward(
        dx,
        dy,
        place.saved + from * 4,
        planes,
        rows.size * columns.size,
        rows.count * columns.count,
      ),
  );
}
