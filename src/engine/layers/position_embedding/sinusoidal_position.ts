import { shapeText } from "../../member/shape.ts";
import { defineLayer, LayerFault } from "../layer.ts";

/**
 * Adds fixed waves to a sequence [time, features]: sin(t / 10000^(2i/features)) at place 2i, and
 * the cosine at place 2i + 1.
 *
 * Vaswani et al., "Attention is all you need", NeurIPS 2017 (arXiv:1706.03762).
 */
export const sinusoidal_position = defineLayer({
  type: "sinusoidal_position",
  summary: "Adds fixed waves to a sequence, so that attention can tell positions apart.",
  formula: "y[t, 2i] = x[t, 2i] + sin(t / 10000^(2i/d)), y[t, 2i+1] = x[t, 2i+1] + cos(t / 10000^(2i/d))",
  source: "Vaswani et al., section 3.5",
  example: { input: [5, 6] },
  options: {},
  needs: { backward: [], gradient: [] },
  inPlace: true,
  shape(_options, [{ shape }]) {
    if (shape.length !== 2)
      throw new LayerFault(
        null,
        `takes sequences [time, features], but its input is ${shapeText(shape)}; put an embedding or a reshape before it`,
      );
    return { output: shape, parameters: [], scratch: shape[0] * shape[1] * 4 };
  },
  create(kernels, _options, place) {
    const [{ address: x, gradient: dx, size, shape }] = place.inputs;
    const { address: y, gradient: dy } = place.output;
    const bytes = size * 4;
    kernels.position_table(place.scratch, shape[0], shape[1]);
    // The scratch serves other layers too.
    const table = kernels.f32.slice(place.scratch / 4, place.scratch / 4 + size);
    return {
      forward(_weights, begin, end) {
        kernels.f32.set(table, place.scratch / 4);
        kernels.position_forward(x + begin * bytes, place.scratch, y + begin * bytes, end - begin, size);
      },
      backward(_weights, begin, end) {
        if (dx !== dy) kernels.u8.copyWithin(dx + begin * bytes, dy + begin * bytes, dy + end * bytes);
      },
    };
  },
});
