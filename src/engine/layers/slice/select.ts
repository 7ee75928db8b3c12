import { withDefaults } from "../../member/options.ts";
import { defineComposite } from "../layer.ts";
import { dimensionOf, placeOf } from "./dimension.ts";
import { slice } from "./slice.ts";

/** One place of a dimension of a sample, such as the last step of a sequence. */
export const select = defineComposite({
  type: "select",
  summary: "Takes one place of a dimension, such as the last step of a sequence [time, features].",
  formula: "y[…, …] = x[…, index, …]",
  source: "torch.select",
  options: {
    dim: { kind: "integer", default: 0, tries: [-1], doc: "The dimension of a sample, from 0; −1 is the last one." },
    index: { kind: "integer", default: -1, tries: [0], doc: "The place in it, from 0; −1 is the last one." },
  },
  example: { input: [5, 6] },
  expand({ dim, index }, [{ shape }]) {
    const at = dimensionOf(dim, shape);
    const begin = placeOf("index", index, shape[at], `the places of dimension ${at}`);
    return { layers: [{ ...withDefaults(slice), name: null, dim: at, begin }] };
  },
});
