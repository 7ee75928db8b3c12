import { defineOptimizer, zeros } from "../optimizer.ts";

/**
 * Rprop: steps by the gradient's sign alone, each weight's longer while the sign stays and shorter
 * when it turns.
 *
 *     s = sign(g · previous g)
 *     step = clamp(step · η₊ if s > 0, step · η₋ if s < 0, step if s = 0; between step_sizes)
 *     g = 0 where s < 0                                (no step back; the next one is free again)
 *     x = x − sign(g) · step
 *
 * Signs are noise in mini-batches: for full batches. Riedmiller & Braun, "A direct adaptive method
 * for faster backpropagation learning: the RPROP algorithm", ICNN 1993. Semantics of
 * `torch.optim.Rprop`: all steps begin with the first learning rate, and none is used after.
 *
 * With lr = 0.1 and gradients 3, 1, 2, −1 a weight goes 0 → −0.1 → −0.22 → −0.364 and stays there
 * once, its step now 0.072.
 */
export const rprop = defineOptimizer({
  type: "rprop",
  summary: "Only the signs of gradients count, with a step size for every weight: for full batches.",
  formula: "step *= η₊ or η₋ as the gradient's sign stays or turns; x −= sign(g) · step",
  source: "Riedmiller & Braun 1993; torch.optim.Rprop",
  options: {
    lr: { kind: "number", default: 1e-2, min: 0, tries: [0.02], doc: "The first step of every weight." },
    etas: {
      kind: "numbers",
      length: 2,
      default: [0.5, 1.2],
      above: 0,
      tries: [[0.3, 1.7]],
      doc: "Factors of a step when the sign turns (below 1) and when it stays (above 1).",
    },
    step_sizes: {
      kind: "numbers",
      length: 2,
      default: [1e-6, 50],
      min: 0,
      tries: [[0.01, 0.03]],
      doc: "The shortest and the longest step.",
    },
    maximize: { kind: "boolean", default: false, doc: "Ascend instead of descend." },
  },
  torch: { name: "Rprop" },
  state: () => zeros("prev", "step_size"),
  check({ etas: [shorter, longer], step_sizes: [least, most] }) {
    const faults = [];
    if (shorter >= 1 || longer <= 1)
      faults.push({ option: "etas", message: "must be a factor below 1 and one above 1, in this order" });
    if (least > most) faults.push({ option: "step_sizes", message: "must be the shortest step and then the longest" });
    return faults;
  },
  create(kernels, { etas: [shorter, longer], step_sizes: [least, most], maximize }) {
    const sign = maximize ? -1 : 1;
    // The first learning rate, while it is to be put in; then 0.
    let first = 0;
    return {
      begin(t, lr) {
        first = t === 1 ? lr : 0;
      },
      passes: [
        {
          run({ weight, gradient, state: [previous, step] }, begin, end) {
            const at = begin * 4;
            // prettier-ignore
            kernels.rprop(
              weight + at, gradient + at, previous + at, step + at, end - begin, sign, shorter, longer, least, most, first,
            );
          },
        },
      ],
    };
  },
});
