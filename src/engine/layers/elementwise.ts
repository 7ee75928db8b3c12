import type { Kernels } from "../kernels/kernels.ts";
import type { Description, Options, ValuesOf } from "../member/options.ts";
import { defineLayer, type LayerType } from "./layer.ts";

/** What an elementwise layer says of itself; the rest follows from it. */
export interface Elementwise<O extends Options> extends Description {
  readonly options: O;
  readonly mortal?: boolean;
  readonly saturates?: boolean;
  readonly gives?: LayerType["gives"];
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
    keepsShape: true,
    inPlace: true,
    needs: { backward: [derivativeOf], gradient: [] },
    shape: (_options, [{ shape }]) => ({ output: shape, parameters: [] }),
    create(kernels, options, { inputs: [input], output }) {
      const { forward, backward } = bind(kernels, options);
      const bytes = input.size * 4;
      const from = { input, output }[derivativeOf].address;
      return {
        forward(_weights, begin, end) {
          const offset = begin * bytes;
          forward(input.address + offset, output.address + offset, (end - begin) * input.size);
        },
        backward(_weights, begin, end) {
          const offset = begin * bytes;
          backward(from + offset, output.gradient + offset, input.gradient + offset, (end - begin) * input.size);
        },
      };
    },
  });
}
