import type { Kernels } from "../../kernels/kernels.ts";
import type { Shape } from "../../member/shape.ts";

interface NewtonSchulzOptions {
  readonly ns_coefficients: readonly number[];
  readonly ns_steps: number;
  readonly eps: number;
}

/** The panel that the matrix product packs into. */
const PANEL_BYTES = 8192;

/**
 * Bytes of scratch for a matrix: a copy of it, a product of its size, a square of its shorter side,
 * and the product's panel.
 */
export function newtonSchulzBytes([rows, columns]: Shape): number {
  return 8 * rows * columns + 4 * Math.min(rows, columns) ** 2 + PANEL_BYTES;
}

/**
 * Makes the matrix X at an address nearly orthogonal: its singular values come close to 1. X is
 * divided by its norm; then this is done `ns_steps` times:
 *
 *     A = X Xᵀ      X = a X + (b A + c A A) X
 *
 * If X has more rows than columns, the same is done to its transpose, by exchanging the strides of
 * the products: A = Xᵀ X and X (b A + c A A). A comes out exactly symmetric. With `round` every
 * complete matrix is rounded to bfloat16, but not the products and sums within it, as in PyTorch.
 */
export function newtonSchulz(
  kernels: Kernels,
  { ns_coefficients: [a, b, c], ns_steps: steps, eps }: NewtonSchulzOptions,
  round: number,
): (x: number, shape: Shape) => void {
  return (x, [rows, columns]) => {
    const length = rows * columns;
    const side = Math.min(rows, columns);
    const product = x + length * 4;
    const gram = product + length * 4;
    const panel = gram + side * side * 4;
    const wide = rows <= columns;
    const row = columns * 4;
    kernels.muon_divide(x, length, Math.max(Math.sqrt(kernels.norm_part(x, length, 2)), eps), round);
    for (let i = 0; i < steps; i++) {
      if (wide) kernels.matmul(gram, x, x, side, side, columns, side * 4, row, 4, row, 1, 0, panel);
      else kernels.matmul(gram, x, x, side, side, rows, side * 4, 4, row, row, 0, 0, panel);
      if (round) kernels.muon_add(gram, gram, side * side, 1, 0, round);
      kernels.matmul(product, gram, gram, side, side, side, side * 4, side * 4, 4, side * 4, 0, 0, panel);
      kernels.muon_add(gram, product, side * side, b, c, round);
      if (wide) kernels.matmul(product, gram, x, rows, columns, side, row, side * 4, 4, row, 0, 0, panel);
      else kernels.matmul(product, x, gram, rows, columns, side, row, row, 4, side * 4, 0, 0, panel);
      kernels.muon_add(x, product, length, a, 1, round);
    }
  };
}
