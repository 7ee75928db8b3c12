import { size } from "../../member/shape.ts";
import { defineLayer } from "../layer.ts";

/**
 * Places `begin` to `end` of a dimension of a sample. If `end` is null, it is the place `begin`
 * alone, and the dimension is gone.
 */
export const slice = defineLayer({
  type: "slice",
  summary: "A stretch of one dimension of its input.",
  formula: "y = x[…, begin:end, …]",
  source: "torch.narrow",
  internal: true,
  options: {
    dim: { kind: "integer", default: 0, min: 0, doc: "The dimension of a sample." },
    begin: { kind: "integer", default: 0, min: 0, doc: "The first place." },
    end: {
      kind: "integer",
      default: null,
      min: 1,
      doc: "The place after the last; null: one place, and no dimension.",
    },
  },
  needs: { backward: [], gradient: [] },
  shape({ dim, begin, end }, [{ shape }]) {
    return { output: end === null ? shape.toSpliced(dim, 1) : shape.with(dim, end - begin), parameters: [] };
  },
  create(kernels, { dim, begin: from }, { inputs: [input], output }) {
    // A sample is `outer` rows, and the output has one stretch of each.
    const outer = size(input.shape.slice(0, dim));
    const row = (input.size / outer) * 4;
    const bytes = (output.size / outer) * 4;
    const offset = (row / input.shape[dim]) * from;
    return {
      forward(_weights, begin, end) {
        const [from, to] = [input.address + begin * outer * row, output.address + begin * outer * bytes];
        kernels.copy_rows(to, from + offset, (end - begin) * outer, bytes, bytes, row);
      },
      backward(_weights, begin, end) {
        const [to, from] = [input.gradient + begin * outer * row, output.gradient + begin * outer * bytes];
        const count = (end - begin) * outer;
        kernels.f32.fill(0, to / 4, (to + count * row) / 4);
        kernels.copy_rows(to + offset, from, count, bytes, row, bytes);
      },
    };
  },
});
