import { withDefaults } from "../../member/options.ts";
import { adaptive_avg_pool2d } from "../adaptive_avg_pool2d/adaptive_avg_pool2d.ts";
import { defineComposite } from "../layer.ts";
import { flatten } from "../reshape/flatten.ts";
import { requireChannels } from "../sliding.ts";

/** The mean of each channel: [channels, height, width] becomes [channels]. */
export const global_avg_pool2d = defineComposite({
  type: "global_avg_pool2d",
  summary: "The mean of each channel of an image; what is left is one number for each channel.",
  formula: "y[c] = mean_{i,j} x[c,i,j]",
  source: "keras.layers.GlobalAveragePooling2D",
  example: { input: [3, 7, 6] },
  options: {},
  expand(_options, [{ shape }]) {
    requireChannels(shape, 2);
    return {
      layers: [
        { ...withDefaults(adaptive_avg_pool2d), name: null, output_size: 1 },
        { ...withDefaults(flatten), name: null },
      ],
    };
  },
});
