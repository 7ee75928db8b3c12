import { initializer } from "../../initializers/named.ts";
import { defineLayer, transposedScratch } from "../layer.ts";
import { stretchesOf } from "./stretches.ts";

/**
 * The queries, keys and values of multihead_attention (stretches.ts), by one weight of [3
 * embed_dim, embed_dim].
 *
 * The gradient of a single input is one product over all positions of the batch, as linear's. That
 * of several is a product for each sample, added up in the order of the samples.
 */
export const in_projection = defineLayer({
  type: "in_projection",
  summary: "The queries, keys and values of multihead_attention.",
  formula: "[q k v] = x Wᵀ + b",
  source: "torch.nn.MultiheadAttention",
  internal: true,
  options: { bias: { kind: "boolean", default: true, doc: "Whether to add a learned bias." } },
  needs: { backward: [], gradient: ["input"] },
  shape({ bias }, inputs) {
    const [{ shape: first }] = inputs;
    const features = first[1];
    const stretches = stretchesOf(inputs);
    const shape = [3 * features, features];
    const positions = Math.max(...stretches.map((stretch) => stretch.positions));
    const weight = {
      name: "in_proj_weight",
      shape,
      initializer: initializer("xavier_uniform", shape),
      rowCost: features * positions,
    };
    const zeros = { distribution: "constant", value: 0 } as const;
    const biases = { name: "in_proj_bias", shape: [3 * features], initializer: zeros, rowCost: positions };
    const floats = stretches.reduce((total, { positions: count, width }) => total + count * width, 0);
    return {
      output: inputs.length === 1 ? [first[0], 3 * features] : [floats],
      parameters: bias ? [weight, biases] : [weight],
      scratch: Math.max(transposedScratch(3 * features), 3 * features * 4),
    };
  },
  create(kernels, _options, { inputs, output, gradients, scratch }) {
    const [, features] = inputs[0].shape;
    const row = features * 4;
    // Where samples lie without a gap, many are one product.
    const whole = inputs.length === 1;
    const pieces = stretchesOf(inputs).map((stretch, i) => ({ ...stretch, ...inputs[i], outRow: stretch.width * 4 }));
    type Piece = (typeof pieces)[number];
    /**
     * Calls `run` with each product's first input and output (bytes from the beginning), and its
     * rows.
     */
    const products = (
      { positions, offset }: Piece,
      begin: number,
      end: number,
      run: (input: number, out: number, rows: number, sample: number) => void,
    ) => {
      const step = whole ? Math.max(1, end - begin) : 1;
      for (let sample = begin; sample < end; sample += step)
        run(sample * positions * row, (sample * output.size + offset) * 4, positions * step, sample);
    };
    const weightGradient = (piece: Piece, begin: number, end: number, samples: number) => {
      const { firstRow, outRow, address } = piece;
      products(piece, 0, samples, (input, out, rows, sample) => {
        const [c, a] = [gradients[0] + begin * row, output.gradient + out + (begin - firstRow) * 4];
        const [b, sizes] = [address + input, [end - begin, features, rows, row] as const];
        if (sample === 0) kernels.matmul_transposed(c, a, b, ...sizes, outRow, row, scratch);
        else kernels.matmul_add(c, a, b, ...sizes, 4, outRow, row, 0, scratch);
      });
    };
    const biasGradient = (piece: Piece, begin: number, end: number, samples: number) => {
      const { firstRow, outRow } = piece;
      products(piece, 0, samples, (_input, out, rows, sample) => {
        const to = sample === 0 ? gradients[1] + firstRow * 4 : scratch;
        kernels.column_sums(to, output.gradient + out, outRow, rows, begin - firstRow, end - firstRow);
        if (sample > 0) kernels.add(gradients[1] + begin * 4, scratch + (begin - firstRow) * 4, end - begin);
      });
    };
    return {
      forward([weight, bias = 0], begin, end) {
        for (const piece of pieces) {
          const { firstRow, width, outRow, address } = piece;
          const biases = bias === 0 ? 0 : bias + firstRow * 4;
          products(piece, begin, end, (input, out, rows) => {
            const sizes = [rows, width, features, outRow, row, 4, row, 1] as const;
            kernels.matmul(output.address + out, address + input, weight + firstRow * row, ...sizes, biases, scratch);
          });
        }
      },
      backward([weight], begin, end) {
        for (const piece of pieces) {
          const { firstRow, width, outRow, gradient } = piece;
          if (gradient === 0) continue;
          products(piece, begin, end, (input, out, rows) => {
            const sizes = [rows, features, width, row, outRow, 4, row, 0] as const;
            kernels.matmul(gradient + input, output.gradient + out, weight + firstRow * row, ...sizes, 0, scratch);
          });
        }
      },
      gradient(parameter, begin, end, samples) {
        const gradientOf = parameter === 0 ? weightGradient : biasGradient;
        for (const piece of pieces) {
          const from = Math.max(begin, piece.firstRow);
          const to = Math.min(end, piece.firstRow + piece.width);
          if (from < to) gradientOf(piece, from, to, samples);
        }
      },
    };
  },
});
