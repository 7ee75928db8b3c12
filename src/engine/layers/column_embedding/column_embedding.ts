import { defineLayer, LayerFault, type Value } from "../layer.ts";

/** Each is a parameter. The api plans so many within some 20 ms. */
const MAX_COLUMNS = 1000;

const SAYS = "takes the categories of a table and its numbers";

/**
 * A learned vector for the class of each categorical column, and behind them the numbers of the
 * other columns. Each column has its own table, as in a `torch.nn.ModuleList` of `nn.Embedding`
 * with a `padding_idx` of 0. A column's classes count from 1. The code 0 is a class that is missing
 * or unknown: its vector starts as zeros and does not learn.
 *
 * Guo and Berkhahn, "Entity embeddings of categorical variables", 2016 (arXiv:1604.06737).
 */
export const column_embedding = defineLayer({
  type: "column_embedding",
  summary: "Gives each class of a table's categorical columns a learned vector, beside the numbers of the others.",
  formula: "y = [weight₀[x₀], weight₁[x₁], …, numbers]",
  source: "torch.nn.ModuleList of torch.nn.Embedding, one for each column",
  example: { input: [5], tokens: 9 },
  options: {
    embedding_dim: {
      kind: "column_sizes",
      default: null,
      min: 1,
      doc: "Size of the vectors: one for all columns, or by the names of columns. Null, and for columns without a name here: half the number of classes, rounded up, but at most 50.",
    },
  },
  takes: ["int32", "float32"],
  mostInputs: 2,
  takesColumns: true,
  needs: { backward: [], gradient: ["input"] },
  shape({ embedding_dim }, inputs) {
    checkInputs(inputs);
    const [categories, numbers] = inputs;
    const rows = rowsOf(categories);
    const widths = widthsOf(embedding_dim, rows, categories.columns ?? null);
    const vectors = widths.reduce((sum, width) => sum + width, 0);
    return {
      output: [vectors + (numbers?.shape[0] ?? 0)],
      parameters: widths.map((width, column) => ({
        name: `${column}.weight`,
        shape: [rows[column], width],
        initializer: { distribution: "normal", deviation: 1, zeroRow: 0 },
        // As if every row had the same share of the samples, because nobody knows it beforehand.
        rowCost: width / rows[column],
        sparse: true,
      })),
    };
  },
  create(kernels, _options, { inputs: [categories, numbers], output, shapes, gradients }) {
    const ids = { address: categories.address, step: categories.size * 4 };
    const step = output.size * 4;
    const offsets = offsetsOf(shapes.map(([, width]) => width));
    const rest = offsets[shapes.length] * 4;
    const bytes = step - rest;
    /** What a kernel gets of a column's gradient. */
    const placeOf = (column: number, samples: number) => {
      const [, width] = shapes[column];
      const dy = output.gradient + offsets[column] * 4;
      return [gradients[column], ids.address + column * 4, dy, samples, width, ids.step, step] as const;
    };
    return {
      forward(weights, begin, end) {
        const y = output.address + begin * step;
        for (const [column, [rows, width]] of shapes.entries()) {
          const x = ids.address + begin * ids.step + column * 4;
          const to = y + offsets[column] * 4;
          kernels.embedding_forward(x, weights[column], to, end - begin, rows, width, ids.step, step);
        }
        if (bytes > 0) kernels.copy_rows(y + rest, numbers.address + begin * bytes, end - begin, bytes, step, bytes);
      },
      backward(_weights, begin, end) {
        const from = output.gradient + begin * step + rest;
        kernels.copy_rows(numbers.gradient + begin * bytes, from, end - begin, bytes, bytes, step);
      },
      gradient(column, begin, end, samples) {
        kernels.column_gradient(...placeOf(column, samples), begin, end);
      },
      sparseGradient(column, begin, end, samples, used) {
        const { list, index, count } = used;
        used.count = kernels.column_sparse_gradient(...placeOf(column, samples), begin, end, list, index, count);
      },
    };
  },
});

/** Where the vector of each column begins, and the numbers after the last of them. */
function offsetsOf(widths: readonly number[]): number[] {
  const offsets = [0];
  for (const width of widths) offsets.push(offsets[offsets.length - 1] + width);
  return offsets;
}

function checkInputs(inputs: readonly Value[]): void {
  const given = inputs.map(({ type, shape }) => `${type} [${shape.join(", ")}]`).join(" and ");
  if (inputs.some(({ shape }) => shape.length !== 1))
    throw new LayerFault(null, `${SAYS}, each a list for a sample, but its input is ${given}`);
  if (inputs[0].shape[0] > MAX_COLUMNS)
    throw new LayerFault(null, `takes at most ${MAX_COLUMNS} categorical columns, but has ${inputs[0].shape[0]}`);
}

/** The rows of each column's table. */
function rowsOf({ shape: [columns], categories = null }: Value): readonly number[] {
  if (categories === null)
    throw new LayerFault(null, `${SAYS}, but the data do not tell how many classes its input has`);
  return typeof categories === "number" ? Array.from({ length: columns }, () => categories) : categories;
}

function widthsOf(
  given: number | Readonly<Record<string, number>> | null,
  rows: readonly number[],
  names: readonly string[] | null,
): number[] {
  if (typeof given === "number") return rows.map(() => given);
  const known = new Set(names);
  const unknown = Object.keys(given ?? {}).find((name) => !known.has(name));
  if (unknown !== undefined) throw new LayerFault("embedding_dim", unknownColumn(unknown, names));
  return rows.map((count, column) => {
    const name = names?.[column];
    if (given !== null && name !== undefined && Object.hasOwn(given, name)) return given[name];
    return Math.max(1, Math.min(50, Math.ceil((count - 1) / 2)));
  });
}

function unknownColumn(name: string, names: readonly string[] | null): string {
  const known = names === null ? "the columns have no names" : `they are ${listed(names)}`;
  return `names ${JSON.stringify(name)}, which is no categorical feature: ${known}`;
}

function listed(names: readonly string[]): string {
  const more = names.length > 10 ? ` and ${names.length - 10} more` : "";
  return (
    names
      .slice(0, 10)
      .map((name) => JSON.stringify(name))
      .join(", ") + more
  );
}
