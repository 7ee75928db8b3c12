import { withDefaults } from "../../member/options.ts";
import type { Shape } from "../../member/shape.ts";
import { adamw } from "../adam/adamw.ts";
import { defineOptimizer, zeros, type ParameterTensor, type Pass } from "../optimizer.ts";
import { newtonSchulz, newtonSchulzBytes } from "./newton-schulz.ts";

/**
 * Muon: momentum whose matrices are made orthogonal, so that every direction is taken equally far.
 *
 *     m = m + (1 − momentum)(g − m)
 *     u = g + momentum · (m − g)                               (m without nesterov)
 *     O = Newton–Schulz of u/max(‖u‖, eps)                     about U Vᵀ, where u = U S Vᵀ
 *     x = x · (1 − lr · weight_decay) − lr · f · O
 *     f = √max(1, rows/columns), or 0.2 √max(rows, columns) with match_rms_adamw
 *
 * For matrices; biases and everything else that has not two dimensions is left to the `fallback`,
 * whose own rate follows the schedule in proportion (down to 0 where lr is 0), and whose momentum
 * is not cycled. A pass over whole tensors. Jordan, "Muon: an optimizer for hidden layers in neural
 * networks" (2024); Liu et al., "Muon is scalable for LLM training" (arXiv:2502.16982). Semantics
 * of `torch.optim.Muon`, which iterates in bfloat16.
 *
 * A gradient diag(4, 1) becomes about diag(1, 1): with lr = 0.1 both weights move by some 0.1, the
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
      doc: "Share of each weight, times lr, taken off at every step.",
    },
    momentum: { kind: "number", default: 0.95, min: 0, max: 1, doc: "Decay of the average of the gradient." },
    nesterov: { kind: "boolean", default: true, doc: "Look ahead by the momentum." },
    ns_coefficients: {
      kind: "numbers",
      length: 3,
      default: [3.4445, -4.775, 2.0315],
      tries: [[2, -1.5, 0.5]],
      doc: "a, b, c of the iteration X = aX + (bA + cA²)X, A = XXᵀ.",
    },
    eps: { kind: "number", default: 1e-7, above: 0, tries: [0.01], doc: "Least norm that u is divided by." },
    ns_steps: { kind: "integer", default: 5, min: 1, max: 99, doc: "Iterations." },
    adjust_lr_fn: {
      kind: "choice",
      choices: ["original", "match_rms_adamw"],
      default: null,
      doc: "How the rate depends on a matrix' shape; match_rms_adamw wants the rates of AdamW. Null: original.",
    },
    ns_precision: {
      kind: "choice",
      choices: ["bfloat16", "float32"],
      default: "bfloat16",
      // Rounding to three digits has no double form. The golden cases hold it to PyTorch's.
      tries: [],
      doc: "Arithmetic of the iteration: PyTorch's, of three digits, or exact.",
    },
    fallback: {
      kind: "optimizer",
      default: withDefaults(adamw),
      tries: [{ type: "sgd", momentum: 0.5, lr: 0.1 }, { type: "lamb" }],
      doc: "The optimizer of whatever is no matrix; its rate follows lr in proportion.",
    },
  },
  cycledOption: "momentum",
  torch: { name: "Muon", uncounted: true, lacks: ["fallback", "ns_precision"], takes: (shape) => isMatrix(shape) },
  state: ({ fallback }, shape) => (isMatrix(shape) ? zeros("momentum_buffer") : fallback.state(shape)),
  scratch: ({ fallback }, shape) => (isMatrix(shape) ? newtonSchulzBytes(shape) : fallback.scratch(shape)),
  check: ({ fallback: { type } }) =>
    type.evaluatesOthers || type.fullBatch || type.fits
      ? [{ option: "fallback", message: `cannot be ${type.type}; take adamw, or sgd` }]
      : [],
  fits: (_options, shapes) =>
    shapes.some(isMatrix)
      ? []
      : [
          {
            option: "type",
            message: "muon is for matrices, and none learns in this model: add a linear layer, or use adamw",
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

/**
 * `lr`: what the schedule has made of the option `base`. If `base` is 0, the only rate in
 * proportion is 0.
 */
function fallbackRate(own: number, lr: number, base: number): number {
  if (lr === 0) return 0;
  return base > 0 ? (own * lr) / base : own;
}

const isMatrix = (shape: Shape): boolean => shape.length === 2;
