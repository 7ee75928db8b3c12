import { shapeText } from "../../member/shape.ts";
import { defineLayer, LayerFault } from "../layer.ts";

/**
 * Adds a learned vector to each position of a sequence [time, features]: y[t] = x[t] + weight[t].
 * The table is one of `torch.nn.Embedding`, initial values included.
 *
 * Gehring et al., "Convolutional sequence to sequence learning", ICML 2017 (arXiv:1705.03122).
 */
export const position_embedding = defineLayer({
  type: "position_embedding",
  summary: "Adds a learned vector to each position of a sequence, so that attention can tell them apart.",
  formula: "y[t] = x[t] + weight[t]",
  source: "torch.nn.Embedding, of the positions 0, 1, …",
  example: { input: [5, 6] },
  options: {
    num_embeddings: {
      kind: "integer",
      default: null,
      min: 1,
      doc: "How many positions the table has; inferred as the length of the sequence.",
    },
  },
  needs: { backward: [], gradient: [] },
  inPlace: true,
  shape({ num_embeddings }, [{ shape }]) {
    if (shape.length !== 2)
      throw new LayerFault(
        null,
        `takes sequences [time, features], but its input is ${shapeText(shape)}; put an embedding or a reshape before it`,
      );
    const [time, features] = shape;
    if (num_embeddings !== null && num_embeddings < time)
      throw new LayerFault("num_embeddings", `is ${num_embeddings}, but the sequences have ${time} positions`);
    const rows = num_embeddings ?? time;
    const initializer = { distribution: "normal", deviation: 1 } as const;
    return {
      output: shape,
      parameters: [{ name: "weight", shape: [rows, features], initializer, rowCost: features }],
      inferred: { num_embeddings: rows },
    };
  },
  create(kernels, _options, place) {
    const [{ address: x, gradient: dx, size, shape }] = place.inputs;
    const { address: y, gradient: dy } = place.output;
    const [time, features] = shape;
    const bytes = size * 4;
    return {
      forward([weight], begin, end) {
        kernels.position_forward(x + begin * bytes, weight, y + begin * bytes, end - begin, size);
      },
      backward(_weights, begin, end) {
        if (dx !== dy) kernels.u8.copyWithin(dx + begin * bytes, dy + begin * bytes, dy + end * bytes);
      },
      gradient(_parameter, begin, end, samples) {
        const [out] = place.gradients;
        const used = Math.min(end, time);
        kernels.column_sums(out, dy, bytes, samples, begin * features, Math.max(begin, used) * features);
        kernels.f32.fill(0, out / 4 + Math.max(begin, used) * features, out / 4 + end * features);
      },
    };
  },
});
