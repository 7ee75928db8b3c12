import { defineSchedule } from "./schedule.ts";

/**
 * With start_lr = 0.001, end_lr = 1 and total_steps = 4: 0.001, 0.01, 0.1, 1.
 *
 * What is made of the losses is in watch/range-test.ts. Smith, "Cyclical learning rates for
 * training neural networks", WACV 2017 (arXiv:1506.01186), section 3.3; there the rate grows in a
 * straight line.
 */
export const lr_range_test = defineSchedule({
  type: "lr_range_test",
  summary:
    "A test of learning rates instead of a training: the rate grows until the loss rises again, and the result suggests one. The model stays as it was.",
  formula: "start_lr · (end_lr/start_lr)^(t/(total_steps − 1))",
  source: "Smith 2017, arXiv:1506.01186, section 3.3",
  options: {
    start_lr: { kind: "number", default: 1e-5, above: 0, doc: "The first rate." },
    end_lr: { kind: "number", default: 10, above: 0, doc: "The last rate, unless the test ends before." },
    total_steps: {
      kind: "integer",
      default: 300,
      min: 100,
      max: 100_000,
      doc: "Steps of the test. The training must have as many.",
    },
  },
  ownRates: true,
  setsRate: () => true,
  tests: ({ start_lr, end_lr, total_steps }) => ({ from: start_lr, to: end_lr, steps: total_steps }),
  check: ({ start_lr, end_lr }) =>
    end_lr < 10 * start_lr ? [{ option: "end_lr", message: `must be at least 10 times start_lr (${start_lr})` }] : [],
  rate: ({ start_lr, end_lr, total_steps }, { kernels, t }) =>
    start_lr * kernels.pow(end_lr / start_lr, Math.min(1, t / (total_steps - 1))),
});
