import { each, type InnerReference } from "../reference.ts";

interface MuonOptions {
  readonly lr: number;
  readonly weight_decay: number;
  readonly momentum: number;
  readonly nesterov: boolean;
  readonly ns_coefficients: readonly number[];
  readonly eps: number;
  readonly ns_steps: number;
  readonly adjust_lr_fn: string | null;
  readonly ns_precision: string;
  readonly fallback: InnerReference & { readonly rate: number };
}

/** The iteration is in double, whatever `ns_precision` is. */
export const muon = each<MuonOptions>((options, tensor, t, lr) => {
  const { shape, weight, gradient, state } = tensor;
  if (shape.length !== 2)
    return options.fallback([tensor], t, lr === 0 ? 0 : (options.fallback.rate * lr) / options.lr);
  const [rows, columns] = shape;
  const { momentum_buffer: m } = state;
  m.forEach((value, i) => (m[i] += (1 - options.momentum) * (gradient[i] - value)));
  const u = options.nesterov ? gradient.map((g, i) => g + options.momentum * (m[i] - g)) : m;
  const step =
    rows > columns
      ? transposed(newtonSchulz(transposed(u, rows), columns, options), columns)
      : newtonSchulz(u, rows, options);
  const factor =
    options.adjust_lr_fn === "match_rms_adamw"
      ? 0.2 * Math.sqrt(Math.max(rows, columns))
      : Math.sqrt(Math.max(1, rows / columns));
  for (let i = 0; i < weight.length; i++)
    weight[i] = weight[i] * (1 - lr * options.weight_decay) - lr * factor * step[i];
});

function newtonSchulz(
  u: Float64Array,
  rows: number,
  { ns_coefficients: [a, b, c], ns_steps, eps }: MuonOptions,
): Float64Array {
  const norm = Math.sqrt(u.reduce((sum, value) => sum + value * value, 0));
  let x = u.map((value) => value / Math.max(norm, eps));
  for (let step = 0; step < ns_steps; step++) {
    const gram = times(x, transposed(x, rows), rows);
    const square = times(gram, gram, rows);
    const polynomial = gram.map((value, i) => b * value + c * square[i]);
    const product = times(polynomial, x, rows);
    x = x.map((value, i) => a * value + product[i]);
  }
  return x;
}

/** The product of a matrix of `rows` rows with another. */
function times(left: Float64Array, right: Float64Array, rows: number): Float64Array {
  const inner = left.length / rows;
  const columns = right.length / inner;
  return Float64Array.from({ length: rows * columns }, (_, at) => {
    let sum = 0;
    for (let k = 0; k < inner; k++)
      sum += left[Math.floor(at / columns) * inner + k] * right[k * columns + (at % columns)];
    return sum;
  });
}

function transposed(x: Float64Array, rows: number): Float64Array {
  const columns = x.length / rows;
  return x.map((_, at) => x[(at % rows) * columns + Math.floor(at / rows)]);
}
