import { defineSchedule } from "./schedule.ts";

/**
 * With lr = 0.1, warmup = 2, stable = 3 and decay = 4 in a straight line: 0.05, 0.1, 0.1, 0.1, 0.1,
 * 0.1, 0.075, 0.05, 0.025, 0, 0, …
 *
 * Hu et al., "MiniCPM: unveiling the potential of small language models", 2024 (arXiv:2404.06395);
 * the shape "sqrt" is from Hägele et al., "Scaling laws and compute-optimal training beyond fixed
 * training durations", 2024 (arXiv:2405.18392).
 */
export const warmup_stable_decay = defineSchedule({
  type: "warmup_stable_decay",
  summary:
    "A rise, a long plateau and a short fall (WSD): as good as a cosine, and the plateau can be made longer afterwards.",
  formula:
    "lr · (t+1)/warmup, then lr, then with x from 0 to 1: lr · (min_factor + (1 − min_factor) · (1 − x | (1 + cos πx)/2 | 1 − √x))",
  source: "Hu et al. 2024, arXiv:2404.06395; Hägele et al. 2024, arXiv:2405.18392",
  options: {
    warmup: { kind: "integer", default: 0, min: 0, doc: "Steps (or epochs) until lr is reached." },
    stable: { kind: "integer", min: 0, doc: "Steps (or epochs) at lr." },
    decay: { kind: "integer", min: 1, doc: "Steps (or epochs) from lr to the end." },
    min_factor: { kind: "number", default: 0, min: 0, max: 1, doc: "Factor of lr at the end." },
    decay_shape: {
      kind: "choice",
      choices: ["linear", "cosine", "sqrt"],
      default: "linear",
      doc: "How the rate falls: evenly, slowly at both ends, or fast at first.",
    },
  },
  ends: ({ warmup, stable, decay }) => ({
    at: warmup + stable + decay,
    option: "decay",
    after: "the rate stays at its lowest",
  }),
  rate({ warmup, stable, decay, min_factor, decay_shape }, { kernels, base, t }) {
    if (t < warmup) return (base * (t + 1)) / warmup;
    const x = Math.min(1, Math.max(0, (t - warmup - stable) / decay));
    const shapes = { linear: 1 - x, cosine: (1 + kernels.cos(Math.PI * x)) / 2, sqrt: 1 - Math.sqrt(x) };
    return base * (min_factor + (1 - min_factor) * shapes[decay_shape]);
  },
});
