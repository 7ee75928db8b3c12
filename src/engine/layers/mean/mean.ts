import { defineLayer } from "../layer.ts";
import { size } from "../../member/shape.ts";
import { dimensionOf } from "../slice/dimension.ts";

/** The mean over a dimension of a sample, such as the steps of a sequence. */
export const mean = defineLayer({
  type: "mean",
  summary: "The mean over one dimension, such as over the steps of a sequence [time, features].",
  formula: "y[…, …] = Σᵢ x[…, i, …] / n",
  source: "torch.mean",
  options: {
    dim: { kind: "integer", default: 0, tries: [-1], doc: "The dimension of a sample, from 0; −1 is the last one." },
  },
  example: { input: [5, 6], options: { dim: 0 } },
  needs: { backward: [], gradient: [] },
  shape: ({ dim }, [{ shape }]) => ({ output: shape.toSpliced(dimensionOf(dim, shape), 1), parameters: [] }),
  create(kernels, { dim }, { inputs: [input], output }) {
    const at = dimensionOf(dim, input.shape);
    const outer = size(input.shape.slice(0, at));
    const inner = size(input.shape.slice(at + 1));
    const length = input.shape[at];
    const [bytes, outputBytes] = [input.size * 4, output.size * 4];
    return {
      forward(_weights, begin, end) {
        const rows = (end - begin) * outer;
        kernels.mean_forward(input.address + begin * bytes, output.address + begin * outputBytes, rows, length, inner);
      },
      backward(_weights, begin, end) {
        const rows = (end - begin) * outer;
        kernels.mean_backward(
          output.gradient + begin * outputBytes,
          input.gradient + begin * bytes,
          rows,
          length,
          inner,
        );
      },
    };
  },
});
