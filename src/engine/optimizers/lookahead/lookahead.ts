import { withDefaults } from "../../member/options.ts";
import { adam } from "../adam/adam.ts";
import { defineOptimizer } from "../optimizer.ts";

/**
 * Lookahead: slow weights that every few steps go part of the way to where another optimizer has
 * taken the fast ones, which start from there again.
 *
 *     fast: as the other optimizer has it
 *     every sync_period steps: slow = slow + slow_step_size · (fast − slow), fast = slow
 *
 * The fast weights are trained, the slow ones evaluated and served. The other optimizer's own state
 * goes on as if nothing had happened; the learning rate, and a schedule, are its own. Zhang et al.,
 * "Lookahead optimizer: k steps forward, 1 step back", NeurIPS 2019 (arXiv:1907.08610), algorithm
 * 1. Semantics of `optax.lookahead`.
 *
 * With sync_period = 2, slow_step_size = 0.5 and steps of −1 the fast weights go 0, −1, −2 → −1,
 * −2, −3 → −2; the slow ones 0, −1, −2.
 */
export const lookahead = defineOptimizer({
  type: "lookahead",
  summary: "Around any other optimizer: averages away what its last steps did wrong.",
  formula: "every sync_period steps: slow += slow_step_size · (fast − slow); fast = slow",
  source: "Zhang et al. 2019, arXiv:1907.08610; optax.lookahead",
  options: {
    optimizer: {
      kind: "optimizer",
      default: withDefaults(adam),
      tries: [{ type: "sgd", momentum: 0.5 }, { type: "novograd" }, { type: "muon", ns_precision: "float32" }],
      doc: "The optimizer of the fast weights.",
    },
    sync_period: {
      kind: "integer",
      default: 6,
      min: 1,
      tries: [2, 3],
      doc: "Steps after which the slow weights follow.",
    },
    slow_step_size: { kind: "number", default: 0.5, min: 0, max: 1, doc: "How much of the way they go." },
  },
  rate: "optimizer",
  cycledOption: "optimizer",
  evaluatesOthers: true,
  state: ({ optimizer }, shape) => [...optimizer.state(shape), { name: "slow", initial: "parameter" }],
  scratch: ({ optimizer }, shape) => optimizer.scratch(shape),
  check: ({ optimizer: { type } }) =>
    type.evaluatesOthers || type.fullBatch
      ? [{ option: "optimizer", message: `cannot be ${type.type}, which chooses its own weights or steps` }]
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
        kernels.u8.copyWithin(evaluated + begin * 4, slow + begin * 4, slow + end * 4);
      },
    };
  },
});
