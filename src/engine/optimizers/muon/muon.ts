import { withDefaults } from "../../member/options.ts";
import type { Shape } from "../../member/shape.ts";
import { adamw } from "../adam/adamw.ts";
import { defineOptimizer, zeros, type ParameterTensor, type Pass } from "../optimizer.ts";
import { newtonSchulz, newtonSchulzBytes } from "./newton-schulz.ts";

/**
 * Muon: momentum whose matrices are made orthogonal, so that a step goes equally far in every
 * direction.
 *
 *     m = m + (1 − momentum)(g − m)
 *     u = g + momentum · (m − g)                               (m without nesterov)
 *     O = Newton–Schulz of u/max(‖u‖, eps)                     about U Vᵀ, where u = U S Vᵀ
 *     x = x · (1 − lr · weight_decay) − lr · f · O
 *     f = √max(1, rows/columns), or 0.2 √max(rows, columns) with match_rms_adamw
 *
 * It trains matrices. Biases and all else that does not have two dimensions is left to the
 * `fallback`. The fallback's rate follows the schedule in proportion (it is 0 where lr is 0), and
 * its momentum is not cycled. Muon takes one pass over whole tensors. Jordan, "Muon: an optimizer
 * for hidden layers in neural networks" (2024); Liu et al., "Muon is scalable for LLM training"
 * (arXiv:2502.16982). Semantics of `torch.optim.Muon`, which iterates in bfloat16.
 *
 * A gradient diag(4, 1) becomes about diag(1, 1). With lr = 0.1 both weights move by about 0.1, the
 * second no less than the first.
 */
export const muon = defineOptimizer({
  type: "muon",
  summary:
    "Orthogonal steps for the matrices of hidden layers, with another optimizer for the rest: fast on transformers.",
  formula: "m += (1−momentum)(g−m); O = NewtonSchulz(g + momentum·(m−g)); x = x(1 − lr·weight_decay) − lr·f·O",
  source: "Jordan 2024; Liu et al. 2025, arXiv:2502.16982; torch.optim.Muon",
  options: {
    lr: { kind: "number", default: 1e-3, min: 0, tries: [0.02], doc: "Learning rate of the matrices." },
    weight_decay: {
      kind: "number",
      default: 0.1,
      min: 0,
      doc: "Decoupled weight decay: every step takes lr times this share off each weight.",
    },
    momentum: { kind: "number", default: 0.95, min: 0, max: 1, doc: "Decay of the average of the gradient." },
    nesterov: { kind: "boolean", default: true, doc: "Use Nesterov's momentum." },
    ns_coefficients: {
      kind: "numbers",
      length: 3,
      default: [3.4445, -4.775, 2.0315],
      tries: [[2, -1.5, 0.5]],
      doc: "The a, b and c of the iteration X = aX + (bA + cA²)X, where A = XXᵀ.",
    },
    eps: {
      kind: "number",
      default: 1e-7,
      above: 0,
      tries: [0.01],
      doc: "Lower bound of the norm that u is divided by.",
    },
    ns_steps: { kind: "integer", default: 5, min: 1, max: 99, doc: "Number of Newton–Schulz iterations." },
    adjust_lr_fn: {
      kind: "choice",
      choices: ["original", "match_rms_adamw"],
      default: null,
      doc: "How the rate depends on the shape of a matrix; match_rms_adamw takes rates that suit AdamW. Null: original.",
    },
    ns_precision: {
      kind: "choice",
      choices: ["bfloat16", "float32"],
      default: "bfloat16",
      // The reference computes in double and cannot round to three digits. The golden cases compare
      // this option with PyTorch.
      tries: [],
      doc: "Arithmetic of the iteration: bfloat16 has three digits and is what PyTorch uses.",
    },
    fallback: {
      kind: "member",
      of: "optimizers",
      default: withDefaults(adamw),
      tries: [{ type: "sgd", momentum: 0.5, lr: 0.1 }, { type: "lamb" }],
      doc: "The optimizer of all parameters that are not matrices; its rate follows lr in proportion.",
    },
  },
  cycledOption: "momentum",
  torch: { name: "Muon", uncounted: true, lacks: ["fallback", "ns_precision"], takes: (shape) => isMatrix(shape) },
  state: ({ fallback }, shape) => (isMatrix(shape) ? zeros("momentum_buffer") : fallback.state(shape)),
  scratch: ({ fallback }, shape) => (isMatrix(shape) ? newtonSchulzBytes(shape) : fallback.scratch(shape)),
  check: ({ fallback: { type } }) =>
    type.evaluatesOthers || type.fullBatch || type.fits
      ? [{ option: "fallback", message: `cannot be ${type.type}: use adamw or sgd` }]
      : [],
  fits: (_options, shapes) =>
    shapes.some(isMatrix)
      ? []
      : [
          {
            option: "type",
            message: "muon trains matrices, and this model has none to train: add a linear layer, or use adamw",
          },
        ],
  create(kernels, options) {
    const { momentum, nesterov, weight_decay: decay, adjust_lr_fn: adjust, fallback } = options;
    const round = options.ns_precision === "bfloat16" ? 1 : 0;
    const others = fallback.create(kernels);
    const orthogonal = newtonSchulz(kernels, options, round);
    let kept = momentum;
    let rate = 0;
    const matrices: Pass = {
      over: "tensors",
      covers: ({ shape }) => isMatrix(shape),
      cost: ({ shape: [rows, columns], length }) => length * Math.min(rows, columns) * 3 * options.ns_steps,
      run({ weight, gradient, length, shape, state: [buffer] }, _begin, _end, scratch) {
        const [rows, columns] = shape;
        const lookahead = nesterov ? kept : 1;
        kernels.muon_direction(gradient, buffer, scratch, length, 1 - kept, lookahead, round);
        orthogonal(scratch, shape);
        const factor =
          adjust === "match_rms_adamw"
            ? 0.2 * Math.sqrt(Math.max(rows, columns))
            : Math.sqrt(Math.max(1, rows / columns));
        kernels.muon_step(weight, scratch, length, 1 - rate * decay, rate * factor);
      },
    };
    const rest = others.passes.map((pass) => ({
      ...pass,
      covers: (tensor: ParameterTensor) => !isMatrix(tensor.shape) && (pass.covers?.(tensor) ?? true),
    }));
    return {
      ...others,
      begin(t, lr, cycled) {
        kept = cycled ?? momentum;
        rate = lr;
        others.begin(t, fallbackRate(fallback.rate, lr, options.lr));
      },
      passes: [matrices, ...rest],
    };
  },
});

/** `lr` is what the schedule has made of the option `base`. If lr is 0, the rate is 0 too. */
function fallbackRate(own: number, lr: number, base: number): number {
  if (lr === 0) return 0;
  return base > 0 ? (own * lr) / base : own;
}

const isMatrix = (shape: Shape): boolean => shape.length === 2;
