import { shapeText, size } from "../../member/shape.ts";
import { defineLayer, LayerFault } from "../layer.ts";

/** The sum of its inputs, element by element, added up in their order. */
export const sum = defineLayer({
  type: "sum",
  summary: "The sum of its inputs.",
  formula: "y = Σ xᵢ",
  source: "",
  internal: true,
  packs: true,
  options: {},
  needs: { backward: [], gradient: [] },
  shape(_options, inputs) {
    const [first] = inputs;
    for (const { shape } of inputs) {
      if (String(shape) === String(first.shape)) continue;
      const shapes = inputs.map((input) => shapeText(input.shape)).join(" and ");
      throw new LayerFault(null, `adds values of one shape, but its inputs are ${shapes}`);
    }
    return { output: first.shape, parameters: [] };
  },
  create(kernels, _options, { inputs, output }) {
    const bytes = size(output.shape) * 4;
    const copy = (from: number, to: number, begin: number, end: number) =>
      kernels.copy(to + begin * bytes, from + begin * bytes, (end - begin) * output.size);
    return {
      forward(_weights, begin, end) {
        copy(inputs[0].address, output.address, begin, end);
        for (let i = 1; i < inputs.length; i++)
          kernels.add(output.address + begin * bytes, inputs[i].address + begin * bytes, (end - begin) * output.size);
      },
      backward(_weights, begin, end) {
        for (const { gradient } of inputs) if (gradient !== 0) copy(output.gradient, gradient, begin, end);
      },
    };
  },
});
