import { defineSchedule } from "./schedule.ts";

/**
 * With lr = 1, d_model = 512 and warmup = 4000: up to 0.000699 at t = 3999, half of it at t =
 * 15999.
 *
 * Vaswani et al., "Attention is all you need", NeurIPS 2017 (arXiv:1706.03762), section 5.3.
 */
export const noam = defineSchedule({
  type: "noam",
  summary:
    "The schedule of the transformer paper: inverse_sqrt whose height follows from the width of the model. lr is a factor, usually 1.",
  formula: "lr · d_model^−½ · min((t+1)^−½, (t+1)·warmup^−1.5)",
  source: "Vaswani et al. 2017, arXiv:1706.03762, section 5.3",
  options: {
    d_model: { kind: "integer", min: 1, doc: "Width of the model." },
    warmup: { kind: "integer", min: 1, doc: "Steps (or epochs) until the rate is highest." },
  },
  ends: ({ warmup }) => ({ at: warmup, option: "warmup", after: null }),
  rate: ({ d_model, warmup }, { base, t }) =>
    (base / Math.sqrt(d_model)) * Math.min(1 / Math.sqrt(t + 1), (t + 1) / (warmup * Math.sqrt(warmup))),
});
