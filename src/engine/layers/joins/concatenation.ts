import { shapeText, size } from "../../member/shape.ts";
import { dimensionIn } from "../slice/dimension.ts";
import { defineLayer, LayerFault } from "../layer.ts";

/** Its inputs one behind the other along a dimension of a sample. Semantics of `torch.cat`. */
export const concatenation = defineLayer({
  type: "concatenation",
  summary: "Its inputs, one behind the other.",
  formula: "y = [x₁, x₂, …]",
  source: "torch.cat",
  internal: true,
  options: { dim: { kind: "integer", default: 0, doc: "The dimension of a sample; −1 is the last one." } },
  needs: { backward: [], gradient: [] },
  shape({ dim }, inputs) {
    const [{ shape: first }] = inputs;
    const along = dimensionIn(dim, first);
    const others = ({ shape }: { shape: readonly number[] }) => String(shape.toSpliced(along, 1));
    if (inputs.some((input) => input.shape.length !== first.length || others(input) !== others(inputs[0]))) {
      const shapes = inputs.map((input) => shapeText(input.shape)).join(" and ");
      throw new LayerFault(null, `joins values that differ in dimension ${dim} only, but its inputs are ${shapes}`);
    }
    const length = inputs.reduce((total, { shape }) => total + shape[along], 0);
    return { output: first.with(along, length), parameters: [] };
  },
  create(kernels, { dim }, { inputs, output }) {
    const along = dim < 0 ? output.shape.length + dim : dim;
    // A sample is `outer` rows, each of which is made of a stretch of every input in turn.
    const outer = size(output.shape.slice(0, along));
    const stretches = inputs.map((input) => (input.size / outer) * 4);
    const row = (output.size / outer) * 4;
    return {
      forward(_weights, begin, end) {
        let to = output.address + begin * outer * row;
        for (const [i, { address }] of inputs.entries()) {
          const bytes = stretches[i];
          kernels.copy_rows(to, address + begin * outer * bytes, (end - begin) * outer, bytes, row, bytes);
          to += bytes;
        }
      },
      backward(_weights, begin, end) {
        let from = output.gradient + begin * outer * row;
        for (const [i, { gradient }] of inputs.entries()) {
          const bytes = stretches[i];
          const to = gradient + begin * outer * bytes;
          if (gradient !== 0) kernels.copy_rows(to, from, (end - begin) * outer, bytes, bytes, row);
          from += bytes;
        }
      },
    };
  },
});
