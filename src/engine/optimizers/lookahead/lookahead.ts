import { withDefaults } from "../../member/options.ts";
import { adam } from "../adam/adam.ts";
import { defineOptimizer } from "../optimizer.ts";

/**
 * Lookahead: another optimizer trains the fast weights. Every few steps the slow weights go part of
 * the way to the fast ones, and the fast ones start again from there.
 *
 *     every step:              the other optimizer's step on fast
 *     every sync_period steps: slow = slow + slow_step_size · (fast − slow), then fast = slow
 *
 * The fast weights are trained; the slow ones are evaluated and served. The other optimizer keeps
 * its state through all of this. The learning rate, and a schedule of it, belong to the other
 * optimizer. Zhang et al., "Lookahead optimizer: k steps forward, 1 step back", NeurIPS 2019
 * (arXiv:1907.08610), algorithm 1.
 * Semantics of `optax.lookahead`.
 *
 * With sync_period = 2, slow_step_size = 0.5 and steps of −1 a fast weight goes 0, −1, −2 → −1, −2,
 * −3 → −2, and its slow weight 0, −1, −2.
 */
export const lookahead = defineOptimizer({
  type: "lookahead",
  summary: "Wraps another optimizer: averages away the noise of its last steps.",
  formula: "every sync_period steps: slow += slow_step_size · (fast − slow); fast = slow",
  source: "Zhang et al. 2019, arXiv:1907.08610; optax.lookahead",
  options: {
    optimizer: {
      kind: "member",
      of: "optimizers",
      default: withDefaults(adam),
      tries: [{ type: "sgd", momentum: 0.5 }, { type: "novograd" }, { type: "muon", ns_precision: "float32" }],
      doc: "The optimizer of the fast weights.",
    },
    sync_period: {
      kind: "integer",
      default: 6,
      min: 1,
      tries: [2, 3],
      doc: "Number of steps after which the slow weights move.",
    },
    slow_step_size: {
      kind: "number",
      default: 0.5,
      min: 0,
      max: 1,
      doc: "Share of the way that the slow weights move towards the fast ones.",
    },
  },
  rate: "optimizer",
  cycledOption: "optimizer",
  evaluatesOthers: true,
  state: ({ optimizer }, shape) => [...optimizer.state(shape), { name: "slow", initial: "parameter" }],
  scratch: ({ optimizer }, shape) => optimizer.scratch(shape),
  check: ({ optimizer: { type } }) =>
    type.evaluatesOthers || type.fullBatch
      ? [
          {
            option: "optimizer",
            message: `cannot be ${type.type}, which evaluates other weights than it trains or searches for its steps`,
          },
        ]
      : [],
  create(kernels, { optimizer, sync_period: period, slow_step_size: share }) {
    const fast = optimizer.create(kernels);
    let due = false;
    return {
      ...fast,
      begin(t, lr, momentum) {
        due = t % period === 0;
        fast.begin(t, lr, momentum);
      },
      passes: fast.passes.map((pass, i) => ({
        ...pass,
        run(tensor, begin, end, workspace) {
          pass.run(tensor, begin, end, workspace);
          const more = fast.passes.slice(i + 1).some(({ covers }) => covers?.(tensor) ?? true);
          if (!due || more) return;
          kernels.lookahead(tensor.weight + begin * 4, tensor.state.at(-1)! + begin * 4, end - begin, share);
        },
      })),
      evaluate({ evaluated, state }, begin, end) {
        const slow = state.at(-1)!;
        kernels.copy(evaluated + begin * 4, slow + begin * 4, end - begin);
      },
    };
  },
});
