import { size } from "../../member/shape.ts";
import { defineLayer, LayerFault } from "../layer.ts";
import { createView, needs } from "./view.ts";

/** Joins neighbouring dimensions into one. Semantics and options of `torch.nn.Flatten`. */
export const flatten = defineLayer({
  type: "flatten",
  summary: "Makes one dimension of several: an image [16, 5, 5] becomes 400 numbers, as linear takes them.",
  formula: "y = x, in the same order",
  source: "torch.nn.Flatten",
  example: { input: [2, 3, 4] },
  packs: true,
  options: {
    start_dim: {
      kind: "integer",
      default: 1,
      tries: [2],
      doc: "The first dimension to join. As in PyTorch, dimension 0 is the batch and cannot be joined.",
    },
    end_dim: { kind: "integer", default: -1, tries: [2], doc: "The last dimension to join; −1 is the last there is." },
  },
  inPlace: true,
  needs,
  shape({ start_dim, end_dim }, [{ shape }]) {
    const [start, end] = [dimension("start_dim", start_dim, shape), dimension("end_dim", end_dim, shape)];
    if (end < start) throw new LayerFault("end_dim", `is ${end_dim}, which lies before start_dim`);
    const joined = size(shape.slice(start, end + 1));
    return { output: [...shape.slice(0, start), joined, ...shape.slice(end + 1)], parameters: [] };
  },
  create: (kernels, _options, place) => createView(kernels, place),
});

/** A dimension of a sample, from one of a batch. */
function dimension(option: string, dim: number, shape: readonly number[]): number {
  const at = (dim < 0 ? dim + shape.length + 1 : dim) - 1;
  if (at < 0 || at >= shape.length) {
    const input = `the input [batch, ${shape.join(", ")}]`;
    throw new LayerFault(option, `is ${dim}, but ${input} has the dimensions 1 to ${shape.length} besides the batch`);
  }
  return at;
}
