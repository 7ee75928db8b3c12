import type { ValuesOf } from "../../member/options.ts";
import { each } from "../reference.ts";
import type { adafactor as declaration } from "./adafactor.ts";

export const adafactor = each<ValuesOf<typeof declaration.options>>(
  (options, { shape, weight, gradient, state }, t, lr) => {
    const [least, leastSize] = options.eps;
    const rms = (values: Float64Array) => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / values.length);
    const size = rms(weight);
    const alpha = (size > leastSize ? size : leastSize) * Math.min(lr, 1 / Math.sqrt(t));
    const w = t ** options.beta2_decay;
    const squares = gradient.map((g) => g * g);
    const { variance, row_var: row, col_var: column } = state;
    if (shape.length === 1) variance.forEach((v, i) => (variance[i] = v + w * (squares[i] - v)));
    else moveMeans(squares, shape, row, column, w);
    const second = shape.length === 1 ? variance : product(shape, row, column, least);
    const u = gradient.map((g, i) => (options.maximize ? -g : g) / Math.sqrt(Math.max(second[i], least * least)));
    const excess = rms(u) / options.d;
    const step = excess > 1 ? alpha / excess : alpha;
    for (let i = 0; i < weight.length; i++) weight[i] = weight[i] * (1 - lr * options.weight_decay) - step * u[i];
  },
);

/**
 * The row and the column that element i of a tensor is in. Both are counted through all its
 * matrices.
 */
function place(shape: readonly number[], i: number): { row: number; column: number } {
  const [rows, columns] = shape.slice(-2);
  const matrix = Math.floor(i / (rows * columns));
  return { row: Math.floor(i / columns), column: matrix * columns + (i % columns) };
}

function moveMeans(
  x: Float64Array,
  shape: readonly number[],
  row: Float64Array,
  column: Float64Array,
  w: number,
): void {
  const [rows, columns] = shape.slice(-2);
  const rowMeans = new Float64Array(row.length);
  const columnMeans = new Float64Array(column.length);
  x.forEach((value, i) => {
    const at = place(shape, i);
    rowMeans[at.row] += value / columns;
    columnMeans[at.column] += value / rows;
  });
  row.forEach((value, i) => (row[i] += w * (rowMeans[i] - value)));
  column.forEach((value, i) => (column[i] += w * (columnMeans[i] - value)));
}

function product(shape: readonly number[], row: Float64Array, column: Float64Array, least: number): Float64Array {
  const rows = shape.at(-2)!;
  const size = shape.reduce((count, length) => count * length, 1);
  return Float64Array.from({ length: size }, (_, i) => {
    const at = place(shape, i);
    const first = at.row - (at.row % rows);
    const mean = row.subarray(first, first + rows).reduce((sum, value) => sum + value / rows, 0);
    return (row[at.row] * column[at.column]) / Math.max(mean, least);
  });
}
