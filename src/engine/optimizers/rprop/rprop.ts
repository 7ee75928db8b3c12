import { defineOptimizer, zeros } from "../optimizer.ts";

/**
 * Rprop steps by the sign of the gradient alone. A weight's step grows while the sign stays, and
 * shrinks when the sign changes.
 *
 *     s = sign(g · previous g)
 *     step = clamp(step · η₊ if s > 0, step · η₋ if s < 0, step if s = 0; between step_sizes)
 *     g = 0 where s < 0                            (the weight pauses; the next step has s = 0)
 *     x = x − sign(g) · step
 *
 * In mini-batches the signs are noise, so use full batches. Riedmiller & Braun, "A direct adaptive
 * method for faster backpropagation learning: the RPROP algorithm", ICNN 1993. Semantics of
 * `torch.optim.Rprop`: the first learning rate is the initial step of all weights, and later rates
 * are not used.
 *
 * With lr = 0.1 and gradients 3, 1, 2, −1 a weight goes 0 → −0.1 → −0.22 → −0.364. It stays there
 * for one step, and its step size is now 0.072.
 */
export const rprop = defineOptimizer({
  type: "rprop",
  summary: "Steps by the signs of the gradients, with a step size for every weight: for full batches.",
  formula: "step *= η₊ or η₋ as the gradient's sign stays or turns; x −= sign(g) · step",
  source: "Riedmiller & Braun 1993; torch.optim.Rprop",
  options: {
    lr: { kind: "number", default: 1e-2, min: 0, tries: [0.02], doc: "Initial step size of every weight." },
    etas: {
      kind: "numbers",
      length: 2,
      default: [0.5, 1.2],
      above: 0,
      tries: [[0.3, 1.7]],
      doc: "Factors of the step size when the sign changes (below 1) and when it stays (above 1).",
    },
    step_sizes: {
      kind: "numbers",
      length: 2,
      default: [1e-6, 50],
      min: 0,
      tries: [[0.01, 0.03]],
      doc: "The smallest and the largest step size.",
    },
    maximize: { kind: "boolean", default: false, doc: "Ascend instead of descend." },
  },
  torch: { name: "Rprop" },
  state: () => zeros("prev", "step_size"),
  check({ etas: [shorter, longer], step_sizes: [least, most] }) {
    const faults = [];
    if (shorter >= 1 || longer <= 1)
      faults.push({ option: "etas", message: "must be a factor below 1 and then one above 1" });
    if (least > most)
      faults.push({ option: "step_sizes", message: "must be the smallest step size and then the largest" });
    return faults;
  },
  create(kernels, { etas: [shorter, longer], step_sizes: [least, most], maximize }) {
    const sign = maximize ? -1 : 1;
    // The first learning rate at the first step; 0 later.
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
