import { withDefaults } from "../../member/options.ts";
import { max_pool2d } from "../max_pool2d/max_pool2d.ts";
import { defineComposite } from "../layer.ts";
import { flatten } from "../reshape/flatten.ts";
import { requireChannels } from "../sliding.ts";

/** The largest element of each channel: [channels, height, width] becomes [channels]. */
export const global_max_pool2d = defineComposite({
  type: "global_max_pool2d",
  summary: "The largest element of each channel of an image; what is left is one number for each channel.",
  formula: "y[c] = max_{i,j} x[c,i,j]",
  source: "keras.layers.GlobalMaxPooling2D",
  example: { input: [3, 7, 6] },
  options: {},
  expand(_options, [{ shape }]) {
    requireChannels(shape, 2);
    return {
      layers: [
        { ...withDefaults(max_pool2d), name: null, kernel_size: shape.slice(1) },
        { ...withDefaults(flatten), name: null },
      ],
    };
  },
});
