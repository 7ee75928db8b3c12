import type { Kernels } from "../kernels/kernels.ts";
import type { Description, Options, ValuesOf } from "../member/options.ts";
import { defineLayer, type LayerType } from "./layer.ts";

/** What an elementwise layer says of itself; the rest follows from it. */
export interface Elementwise<O extends Options> extends Description {
  readonly options: O;
  readonly mortal?: boolean;
  /**
   * Whether the derivative is computed from the layer's input or, which is cheaper where it can be
   * done, from its output.
   */
  readonly derivativeOf: "input" | "output";
  readonly bind: (kernels: Kernels, options: ValuesOf<O>) => ElementwiseKernels;
}

/** The two kernels, their options bound; addresses of `n` floats each. */
export interface ElementwiseKernels {
  readonly forward: (x: number, y: number, n: number) => void;
  /** d = g × derivative, computed from `from`: the input or the output. */
  readonly backward: (from: number, g: number, d: number, n: number) => void;
}

/**
 * Declares a layer that applies one function to every element: any shape goes through unchanged,
 * and nothing is learned.
 */
export function defineElementwise<const O extends Options>({
  derivativeOf,
  bind,
  ...description
}: Elementwise<O>): LayerType<O> {
  return defineLayer({
    ...description,
    elementwise: true,
    shape: (_options, input) => ({ output: input, parameters: [] }),
    create(kernels, options, place) {
      const { forward, backward } = bind(kernels, options);
      const bytes = place.inputSize * 4;
      const { input, output, inputGradient, outputGradient } = place;
      const from = place[derivativeOf];
      return {
        forward(_weights, begin, end) {
          forward(input + begin * bytes, output + begin * bytes, (end - begin) * place.inputSize);
        },
        backward(_weights, begin, end) {
          const offset = begin * bytes;
          backward(from + offset, outputGradient + offset, inputGradient + offset, (end - begin) * place.inputSize);
        },
      };
    },
  });
}
