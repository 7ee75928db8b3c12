import type { Kernels } from "../../kernels/kernels.ts";
import type { Options, ValuesOf } from "../../member/options.ts";
import { size } from "../../member/shape.ts";
import type { Layer, LayerPlace, LayerShape, Value } from "../layer.ts";
import { dimensionIn } from "../slice/dimension.ts";

/* What softmax and log_softmax share. */

export const softmaxOptions = {
  dim: { kind: "integer", default: -1, doc: "The dimension of a sample along which to sum; −1 is the last one." },
} as const satisfies Options;

type Values = ValuesOf<typeof softmaxOptions>;

export function softmaxShape({ dim }: Values, [{ shape }]: readonly Value[]): LayerShape {
  dimensionIn(dim, shape);
  return { output: shape, parameters: [] };
}

export function softmaxPasses(kernels: Kernels, { dim }: Values, place: LayerPlace, logarithm: boolean): Layer {
  const [{ address: x, gradient: dx, shape, size: sample }] = place.inputs;
  const { address: y, gradient: dy } = place.output;
  const along = dimensionIn(dim, shape);
  const outer = size(shape.slice(0, along));
  const inner = size(shape.slice(along + 1));
  return {
    forward(_weights, begin, end) {
      const at = begin * sample * 4;
      kernels.softmax_forward(x + at, y + at, (end - begin) * outer, shape[along], inner, Number(logarithm));
    },
    backward(_weights, begin, end) {
      const at = begin * sample * 4;
      const runs = (end - begin) * outer;
      kernels.softmax_backward(y + at, dy + at, dx + at, runs, shape[along], inner, Number(logarithm));
    },
  };
}
