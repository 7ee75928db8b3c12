import type { Shape } from "../member/shape.ts";

/**
 * The initial values of a parameter: a distribution with its scale. The kernels draw the numbers
 * from the counter-based generator (seed, parameter, element).
 */
export type Initializer = (
  | { readonly distribution: "constant"; readonly value: number }
  /** Uniform over [-bound, bound). */
  | { readonly distribution: "uniform"; readonly bound: number }
  /** Normal with mean 0. */
  | { readonly distribution: "normal"; readonly deviation: number }
) & {
  /** The number of a row, along the first dimension, that starts as zeros instead. */
  readonly zeroRow?: number;
};

/**
 * fan_in is the product of all sizes but the first. fan_out is the first size times the product of
 * the sizes from the third on (torch.nn.init).
 */
export function fans(shape: Shape): { fanIn: number; fanOut: number } {
  const receptive = shape.slice(2).reduce((product, size) => product * size, 1);
  return { fanIn: shape[1] * receptive, fanOut: shape[0] * receptive };
}
