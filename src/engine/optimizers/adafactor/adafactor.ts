import type { Shape } from "../../member/shape.ts";
import { defineOptimizer } from "../optimizer.ts";

/**
 * Adafactor: Adam without momentum. Of a matrix's second moments it keeps only the mean of each row
 * and of each column.
 *
 *     ρ = min(lr, 1/√t)      α = max(eps[1], RMS(x)) · ρ      w = t^beta2_decay
 *     row = row + w (mean of g² over columns − row)        V = row · col / max(mean of row, eps[0])
 *     col = col + w (mean of g² over rows − col)              (one-dimensional: V = V + w (g² − V))
 *     u = g/√max(V, eps[0]²)
 *     x = x · (1 − lr · weight_decay) − α/max(1, RMS(u)/d) · u
 *
 * It takes one pass over whole tensors, because RMS and the means need every element. The step is
 * relative to the size of the weights, and is clipped where u is unusually large. Shazeer & Stern,
 * "Adafactor: adaptive learning rates with sublinear memory cost", ICML 2018 (arXiv:1804.04235),
 * algorithm 5. Semantics of `torch.optim.Adafactor`. A tensor of more than two dimensions is taken
 * as matrices of its last two.
 *
 * At the first step w is 1. If all gradients of a matrix are equal, V is g² and u is their sign:
 * with lr = 0.01 weights of size 2 move by 0.02.
 */
export const adafactor = defineOptimizer({
  type: "adafactor",
  summary: "Adam whose second moments are kept as row and column means: next to no memory, for large matrices.",
  formula: "V = row·col/mean(row); u = g/√V; x −= max(eps₂, RMS(x))·min(lr, 1/√t)/max(1, RMS(u)/d) · u",
  source: "Shazeer & Stern 2018, arXiv:1804.04235; torch.optim.Adafactor",
  options: {
    lr: { kind: "number", default: 1e-2, min: 0, tries: [0.02], doc: "Largest relative step." },
    beta2_decay: {
      kind: "number",
      default: -0.8,
      max: 0,
      tries: [-0.3],
      doc: "The weight of new squares at step t is t to this power.",
    },
    eps: {
      kind: "numbers",
      length: 2,
      default: [2 ** -23, 1e-3],
      min: 0,
      tries: [[0.01, 0.1]],
      doc: "Lower bounds: of the root of the second moment, and of the weights' size that steps are relative to.",
    },
    d: {
      kind: "number",
      default: 1,
      min: 1,
      tries: [1.5],
      doc: "Directions whose RMS is above this are clipped to it.",
    },
    weight_decay: {
      kind: "number",
      default: 0,
      min: 0,
      doc: "Decoupled weight decay: every step takes lr times this share off each weight.",
    },
    maximize: { kind: "boolean", default: false, doc: "Ascend instead of descend." },
  },
  torch: { name: "Adafactor" },
  state(_options, shape) {
    if (shape.length === 1) return [{ name: "variance", initial: 0 }];
    return [
      { name: "row_var", initial: 0, shape: [...shape.slice(0, -1), 1] },
      { name: "col_var", initial: 0, shape: [...shape.slice(0, -2), 1, shape.at(-1)!] },
    ];
  },
  scratch: (_options, shape) => matricesOf(shape).columns * 8,
  create(kernels, { beta2_decay: power, eps: [least, leastSize], d: limit, weight_decay: decay, maximize }) {
    const sign = maximize ? -1 : 1;
    let rate = 0;
    let relative = 0;
    let share = 1;
    return {
      begin(t, lr) {
        rate = lr;
        relative = Math.min(lr, 1 / Math.sqrt(t));
        share = kernels.pow(t, power);
      },
      passes: [
        {
          over: "tensors",
          run({ weight, gradient, length, shape, state: [first, second] }, _begin, _end, scratch) {
            const { count, rows, columns } = matricesOf(shape);
            const factored = shape.length > 1;
            const size = Math.sqrt(kernels.norm_part(weight, length, 2) / length);
            // A vector is a matrix of one row: its second moments are those of the columns.
            const matrices = Array.from({ length: count }, (_, i) => ({
              at: i * rows * columns * 4,
              row: factored ? first + i * rows * 4 : 0,
              column: factored ? second + i * columns * 4 : first,
            }));
            let squares = 0;
            for (const { at, row, column } of matrices) {
              // prettier-ignore
              kernels.adafactor_moments(gradient + at, row, column, rows, columns, share, scratch);
              squares += kernels.adafactor_squares(gradient + at, row, column, rows, columns, least, scratch);
            }
            // Compares as Python's max does, so that a NaN in one element does not become the
            // factor of all of them.
            const clip = atLeast(1, Math.sqrt(squares / length) / limit);
            const step = (sign * atLeast(leastSize, size) * relative) / clip;
            for (const { at, row, column } of matrices) {
              // prettier-ignore
              kernels.adafactor_step(
                weight + at, gradient + at, row, column, rows, columns, least, 1 - rate * decay, step, scratch,
              );
            }
          },
        },
      ],
    };
  },
});

const atLeast = (least: number, value: number): number => (value > least ? value : least);

/** The matrices of the last two dimensions; a vector is a matrix of one row. */
function matricesOf(shape: Shape): { count: number; rows: number; columns: number } {
  const columns = shape.at(-1)!;
  const rows = shape.at(-2) ?? 1;
  return { count: shape.slice(0, -2).reduce((product, length) => product * length, 1), rows, columns };
}
