import { lengths } from "../../member/options.ts";
import { defineLayer } from "../layer.ts";
import { byPlanes } from "../pooling.ts";
import { requireChannels } from "../sliding.ts";

/**
 * Means of as many windows as wanted, which cover the image: window i of n goes from ⌊i·size/n⌋ to
 * ⌈(i+1)·size/n⌉. Semantics of `torch.nn.AdaptiveAvgPool2d`.
 */
export const adaptive_avg_pool2d = defineLayer({
  type: "adaptive_avg_pool2d",
  summary: "Means over an image [channels, height, width], so that the output has a given size.",
  formula: "y[c,i,j] = mean of x[c, ⌊i·H/h⌋ … ⌈(i+1)·H/h⌉, ⌊j·W/w⌋ … ⌈(j+1)·W/w⌉]",
  source: "torch.nn.AdaptiveAvgPool2d",
  example: { input: [3, 7, 6], options: { output_size: [2, 3] } },
  options: {
    output_size: {
      kind: "sizes",
      length: 2,
      min: 1,
      max: 4096,
      tries: [[3, 2]],
      doc: "Height and width of the output.",
    },
  },
  needs: { backward: [], gradient: [] },
  shape({ output_size }, [{ shape }]) {
    requireChannels(shape, 2);
    return { output: [shape[0], ...lengths(output_size, 2)], parameters: [] };
  },
  create(kernels, _options, place) {
    const [, height, width] = place.inputs[0].shape;
    const [, rows, columns] = place.output.shape;
    return byPlanes(
      place,
      (y, x, planes) => kernels.adaptive_avg_pool_forward(y, x, planes, height, width, rows, columns),
      (dx, dy, planes) => kernels.adaptive_avg_pool_backward(dx, dy, planes, height, width, rows, columns),
    );
  },
});
