import { MAX_DIMENSIONS, size, type Shape } from "../../member/shape.ts";
import { defineLayer, LayerFault } from "../layer.ts";
import { createView, needs } from "./view.ts";

/** The same numbers in the same order, under another shape. Semantics of `torch.reshape`. */
export const reshape = defineLayer({
  type: "reshape",
  summary: "Gives a sample another shape: 784 numbers become an image [1, 28, 28].",
  formula: "y = x, in the same order",
  source: "torch.reshape",
  example: { input: [4, 6], options: { shape: [3, 8] } },
  packs: true,
  options: {
    shape: {
      kind: "integers",
      length: null,
      most: MAX_DIMENSIONS,
      min: -1,
      tries: [[2, -1]],
      doc: "Lengths of a sample's dimensions, without the batch; at most 8. One of them may be −1: it follows from the others.",
    },
  },
  inPlace: true,
  needs,
  shape: ({ shape }, [input]) => ({ output: shapeOf(shape, input.shape), parameters: [] }),
  create: (kernels, _options, place) => createView(kernels, place),
});

function shapeOf(wanted: Shape, input: Shape): Shape {
  const open = wanted.filter((length) => length === -1).length;
  if (open > 1) throw new LayerFault("shape", "may have only one −1");
  if (wanted.includes(0)) throw new LayerFault("shape", "may have no dimension of length 0");
  const known = size(wanted.filter((length) => length !== -1));
  const total = size(input);
  if (open === 0 ? known !== total : total % known !== 0) {
    throw new LayerFault(
      "shape",
      `[${wanted.join(", ")}] does not hold the ${total} numbers of the input [${input.join(", ")}]`,
    );
  }
  return wanted.map((length) => (length === -1 ? total / known : length));
}
