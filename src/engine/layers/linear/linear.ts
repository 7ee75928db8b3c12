import { initializer, initOptions } from "../../initializers/named.ts";
import { checkInputSize } from "../input-size.ts";
import { defineLayer, LayerFault, transposedScratch } from "../layer.ts";

/**
 * y = x Wᵀ + b over the last dimension; W is [out_features, in_features], b is [out_features].
 * Leading dimensions are free: each of their rows is one row of the product. Semantics and initial
 * values of `torch.nn.Linear`.
 *
 * The gradient of W is dYᵀ·X, that of b the column sums of dY, both over the rows of the whole
 * batch.
 */
export const linear = defineLayer({
  type: "linear",
  summary: "A fully connected layer: every output is a weighted sum of all inputs plus a bias.",
  formula: "y = x Wᵀ + b",
  source: "torch.nn.Linear",
  example: { input: [3, 5], options: { out_features: 6 } },
  packs: true,
  options: {
    in_features: {
      kind: "integer",
      default: null,
      min: 1,
      doc: "Size of the input's last dimension; inferred, and checked if it is given.",
    },
    out_features: {
      kind: "integer",
      default: null,
      min: 1,
      max: 1_000_000,
      doc: "Number of outputs; inferred from the target if only activations, dropout or softmax follow.",
    },
    bias: { kind: "boolean", default: true, doc: "Whether to add a learned bias." },
    tied_to: {
      kind: "parameter",
      default: null,
      doc: "A parameter of an earlier layer that is the weight of this one too, such as an embedding's.",
    },
    ...initOptions,
  },
  needs: { backward: [], gradient: ["input"] },
  shape(options, [{ shape: input }], wanted) {
    const inputs = input[input.length - 1];
    checkInputSize("in_features", options.in_features, input, -1);
    const outputs = options.out_features ?? wanted;
    if (outputs === null)
      throw new LayerFault(
        "out_features",
        "is required: it is inferred only where nothing but activations, dropout or softmax follows",
      );
    const rows = input.slice(0, -1).reduce((product, size) => product * size, 1);
    const shape = [outputs, inputs];
    const weight = {
      name: "weight",
      shape,
      initializer: initializer(options.weight_init, shape),
      rowCost: inputs * rows,
      ...(options.tied_to === null || options.tied_to === undefined ? {} : { tiedTo: options.tied_to }),
    };
    const bias = { name: "bias", shape: [outputs], initializer: initializer(options.bias_init, shape), rowCost: rows };
    return {
      output: [...input.slice(0, -1), outputs],
      parameters: options.bias ? [weight, bias] : [weight],
      scratch: transposedScratch(outputs),
      inferred: { in_features: inputs, out_features: outputs },
    };
  },
  create(kernels, _options, place) {
    const {
      inputs: [input],
      output,
    } = place;
    const inputs = input.shape[input.shape.length - 1];
    const outputs = output.shape[output.shape.length - 1];
    const rowsPerSample = input.size / inputs;
    const { address: x, gradient: dx } = input;
    const { address: y, gradient: dy } = output;
    const inputRow = inputs * 4;
    const outputRow = outputs * 4;
    return {
      forward(weights, begin, end) {
        const first = begin * rowsPerSample;
        const m = end * rowsPerSample - first;
        const [w, bias = 0] = weights;
        kernels.matmul(
          y + first * outputRow,
          x + first * inputRow,
          w,
          m,
          outputs,
          inputs,
          outputRow,
          inputRow,
          4,
          inputRow,
          1,
          bias,
          place.scratch,
        );
      },
      backward(weights, begin, end) {
        const first = begin * rowsPerSample;
        const m = end * rowsPerSample - first;
        kernels.matmul(
          dx + first * inputRow,
          dy + first * outputRow,
          weights[0],
          m,
          inputs,
          outputs,
          inputRow,
          outputRow,
          4,
          inputRow,
          0,
          0,
          place.scratch,
        );
      },
      gradient(parameter, begin, end, samples) {
        const rows = samples * rowsPerSample;
        const out = place.gradients[parameter];
        if (parameter === 1) kernels.column_sums(out, dy, outputRow, rows, begin, end);
        else
          kernels.matmul_transposed(
            out + begin * inputRow,
            dy + begin * 4,
            x,
            end - begin,
            inputs,
            rows,
            inputRow,
            outputRow,
            inputRow,
            place.scratch,
          );
      },
    };
  },
});
