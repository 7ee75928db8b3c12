import { size } from "../../member/shape.ts";
import { defineLayer, LayerFault, type Value } from "../layer.ts";

/**
 * A learned vector for each of a set of integers: y = weight[x]. Semantics and initial values of
 * `torch.nn.Embedding`.
 *
 * A row's gradient is the sum over its uses in the batch. To find the uses of some rows without a
 * look at all of the batch, the forward pass sorts each sample's places by their integers.
 */
export const embedding = defineLayer({
  type: "embedding",
  summary: "Gives each of a set of integers, such as words or categories, a learned vector.",
  formula: "y = weight[x]",
  source: "torch.nn.Embedding",
  example: { input: [5], tokens: 9, options: { embedding_dim: 6, padding_idx: 2 } },
  options: {
    num_embeddings: {
      kind: "integer",
      default: null,
      min: 1,
      doc: "How many integers there are, counted from 0; inferred from the data.",
    },
    embedding_dim: { kind: "integer", min: 1, doc: "Size of the vectors." },
    padding_idx: {
      kind: "integer",
      default: null,
      doc: "An integer whose vector starts as zeros and does not learn; −1 is the last one.",
    },
  },
  takes: "int32",
  needs: { backward: [], gradient: ["input", "saved"] },
  shape({ num_embeddings, embedding_dim, padding_idx }, [input]) {
    const rows = rowsOf(num_embeddings, input);
    if (padding_idx !== null && (padding_idx < -rows || padding_idx >= rows))
      throw new LayerFault("padding_idx", `is ${padding_idx}, but there are ${rows} integers`);
    const places = size(input.shape);
    const initializer = { distribution: "normal", deviation: 1, zeroRow: paddingRow(padding_idx, rows) } as const;
    // A row is used by a share of the places that nobody knows beforehand: as if all had the same.
    const rowCost = (places * embedding_dim) / rows;
    return {
      output: [...input.shape, embedding_dim],
      parameters: [{ name: "weight", shape: [rows, embedding_dim], initializer, rowCost, sparse: true }],
      saved: places,
      scratch: 1024 + places * 4,
      inferred: { num_embeddings: rows },
    };
  },
  create(kernels, { num_embeddings, embedding_dim: width, padding_idx }, place) {
    const [{ address: ids, size: places }] = place.inputs;
    const { address: y, gradient: dy } = place.output;
    const rows = num_embeddings!;
    const padding = paddingRow(padding_idx, rows) ?? -1;
    return {
      forward([weight], begin, end, pass) {
        const first = begin * places;
        const [x, to] = [ids + first * 4, y + first * width * 4];
        kernels.embedding_forward(x, weight, to, end * places - first, rows, width, 4, width * 4);
        if (!pass.training) return;
        const order = place.saved + begin * places * 4;
        kernels.embedding_sort(ids + begin * places * 4, order, end - begin, places, rows, place.scratch);
      },
      backward() {
        throw new Error("integers have no gradient");
      },
      gradient(_parameter, begin, end, samples) {
        const [out] = place.gradients;
        kernels.embedding_gradient(out, ids, place.saved, dy, samples, places, width, begin, end, padding);
      },
      sparseGradient(_parameter, begin, end, samples, used) {
        const [out] = place.gradients;
        const { list, index, count } = used;
        // prettier-ignore
        used.count = kernels.embedding_sparse_gradient(
          out, ids, place.saved, dy, samples, places, width, begin, end, padding, list, index, count,
        );
      },
    };
  },
});

function rowsOf(given: number | null, { categories = null }: Value): number {
  const found = categories === null || typeof categories === "number" ? categories : Math.max(...categories);
  if (given === null && found === null)
    throw new LayerFault("num_embeddings", "is required: the data do not tell how many integers there are");
  if (given !== null && found !== null && given < found)
    throw new LayerFault("num_embeddings", `is ${given}, but the data have integers up to ${found - 1}; leave it out`);
  return (given ?? found)!;
}

const paddingRow = (index: number | null, rows: number): number | undefined =>
  index === null ? undefined : (index + rows) % rows;
