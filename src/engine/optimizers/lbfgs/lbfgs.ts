import type { Kernels } from "../../kernels/kernels.ts";
import type { Options, ValuesOf } from "../../member/options.ts";
import { defineOptimizer, EVALUATE, zeros, type Objective, type Optimizer, type Pass } from "../optimizer.ts";
import { size as sizeOf } from "../../member/shape.ts";
import type { TorchParameter, TorchValue } from "../torch.ts";
import { strongWolfe, type Trial } from "./line-search.ts";
import { D, OLD_DIRS, OLD_STPS, vectorPasses } from "./passes.ts";

const lbfgsOptions = {
  lr: {
    kind: "number",
    default: 1,
    min: 0,
    tries: [0.02],
    doc: "Length of the steps; with a line search, the length it tries first.",
  },
  max_iter: { kind: "integer", default: 20, min: 1, max: 10_000, doc: "Iterations per step." },
  max_eval: {
    kind: "integer",
    default: null,
    min: 1,
    doc: "A step ends after this many evaluations of the loss; null: 1.25 times max_iter.",
  },
  tolerance_grad: { kind: "number", default: 1e-7, min: 0, doc: "Gradients up to this size count as 0." },
  tolerance_change: {
    kind: "number",
    default: 1e-9,
    min: 0,
    doc: "Changes of the loss or the weights up to this size count as 0.",
  },
  history_size: {
    kind: "integer",
    default: 100,
    min: 1,
    max: 1000,
    doc: "Number of past steps that the curvature is estimated from; each takes twice the memory of the model.",
  },
  line_search_fn: {
    kind: "choice",
    choices: ["strong_wolfe"],
    default: null,
    doc: "How to find the length of a step; null: it is lr.",
  },
} as const satisfies Options;

/**
 * L-BFGS steps along an estimate of Newton's direction. It makes the estimate from its last steps
 * and from how the gradient changed with each.
 *
 *     sᵢ = step i, yᵢ = change of the gradient by it, ρᵢ = 1/⟨yᵢ, sᵢ⟩
 *     d = −H g by the two loops: q = −g;
 *         newest to oldest: αᵢ = ρᵢ⟨sᵢ, q⟩, q = q − αᵢ yᵢ; d = ⟨y, s⟩/⟨y, y⟩ · q;
 *         oldest to newest: d = d + (αᵢ − ρᵢ⟨yᵢ, d⟩) sᵢ
 *     x = x + t d             t = lr, or by a search for the strong Wolfe conditions
 *
 * One step makes up to `max_iter` such iterations, and evaluates loss and gradient in each. So the
 * loss must be the same function of the weights every time: full batches, no dropout. The very
 * first direction is −g, and t is then at most lr/‖g‖₁. Liu & Nocedal, "On the limited memory BFGS
 * method for large scale optimization", Math. Programming 45 (1989). Semantics of
 * `torch.optim.LBFGS`.
 *
 * It finds the minimum of a quadratic of n dimensions in about n iterations. The line search may
 * end at a point before the last one it tried. Loss and gradient are then computed there again,
 * because it would take much memory to keep the gradients of every point.
 */
export const lbfgs = defineOptimizer({
  type: "lbfgs",
  summary: "Newton-like steps for small models on full batches: few steps to a precise minimum.",
  formula: "x += t·d, d = −H·g with H from the last history_size pairs of steps and gradient changes",
  source: "Liu & Nocedal 1989; torch.optim.LBFGS",
  options: lbfgsOptions,
  fullBatch: true,
  wholeModel: true,
  state({ history_size: size, line_search_fn: search }, shape) {
    const history = [...zeros("old_dirs"), ...zeros("old_stps")].map((tensor) => ({
      ...tensor,
      shape: [size, ...shape],
    }));
    return [...zeros("d", "prev_flat_grad"), ...history, ...(search === null ? [] : zeros("x_init"))];
  },
  torch: {
    name: "LBFGS",
    sets: (options) => ({ max_eval: mostEvaluations(options) }),
    whole: torchState,
  },
  create: (kernels, options) => new Lbfgs(kernels, options),
});

function mostEvaluations({ max_eval: most, max_iter: iterations }: ValuesOf<typeof lbfgsOptions>): number {
  return most ?? Math.floor((iterations * 5) / 4);
}

/**
 * PyTorch keeps vectors of the whole model, and the history as lists with the oldest pair first.
 */
function torchState(
  { history_size: size }: ValuesOf<typeof lbfgsOptions>,
  parameters: readonly TorchParameter[],
  scalars: Readonly<Record<string, number>>,
): Record<string, TorchValue> {
  const lengths = parameters.map(({ shape }) => sizeOf(shape));
  const flat = (tensor: string, place = 0) => ({
    shape: [lengths.reduce((sum, length) => sum + length, 0)],
    of: parameters.map(({ name }, i) => ({
      tensor: `optimizer.${tensor}.${name}`,
      begin: place * lengths[i],
      length: lengths[i],
    })),
  });
  const places = Array.from({ length: scalars.stored }, (_, i) => (scalars.oldest + i) % size);
  return {
    func_evals: scalars.func_evals,
    n_iter: scalars.n_iter,
    d: flat("d"),
    t: scalars.t,
    old_dirs: places.map((place) => flat("old_dirs", place)),
    old_stps: places.map((place) => flat("old_stps", place)),
    ro: places.map((place) => scalars[`ro_${place}`]),
    H_diag: scalars.H_diag,
    prev_flat_grad: flat("prev_flat_grad"),
    // The loss of the step before. PyTorch does not need it: the next step computes its own.
    prev_loss: null,
  };
}

class Lbfgs implements Optimizer {
  readonly passes: readonly Pass[] = [];
  /**
   * PyTorch's counters and numbers. The `stored` pairs lie in a ring of `history_size` places. The
   * oldest is in place `oldest`, and ρ of the pair in place i is `ro_i`.
   */
  readonly scalars: Record<string, number> = { n_iter: 0, func_evals: 0, t: 0, H_diag: 1, oldest: 0, stored: 0 };
  readonly #options: ValuesOf<typeof lbfgsOptions>;
  readonly #vectors: ReturnType<typeof vectorPasses>;
  #rate = 0;

  constructor(kernels: Kernels, options: ValuesOf<typeof lbfgsOptions>) {
    this.#options = options;
    this.#vectors = vectorPasses(kernels);
  }

  begin(_t: number, lr: number): void {
    this.#rate = lr;
  }

  *search(objective: Objective): Generator<Pass | typeof EVALUATE, void, void> {
    const { scalars } = this;
    const { vectors, totals } = this.#vectors;
    const { max_iter: most, tolerance_grad: least, tolerance_change: change } = this.#options;
    const before = scalars.func_evals;
    scalars.func_evals++;
    yield vectors.largestGradient;
    for (let iteration = 1; totals[0] > least; iteration++) {
      scalars.n_iter++;
      yield* this.#direct();
      yield vectors.keepGradient;
      const [slope, size] = totals;
      scalars.t = scalars.n_iter === 1 ? Math.min(1, 1 / size) * this.#rate : this.#rate;
      if (slope > -change) return;
      const { loss } = objective;
      if (this.#options.line_search_fn !== null) {
        yield* this.#alongLine({ step: 0, loss, slope }, objective);
      } else {
        yield vectors.advance(scalars.t);
        if (iteration === most) return;
        scalars.func_evals++;
        yield EVALUATE;
      }
      if (iteration === most || scalars.func_evals - before >= mostEvaluations(this.#options)) return;
      if (Math.abs(objective.loss - loss) < change) return;
      yield vectors.largestDirection;
      if (totals[0] * scalars.t <= change) return;
      yield vectors.largestGradient;
    }
  }

  /** Computes the next direction into d. */
  *#direct(): Generator<Pass, void, void> {
    const { scalars } = this;
    const { vectors, totals } = this.#vectors;
    if (scalars.n_iter === 1) return yield vectors.negateGradient;
    yield* this.#remember();
    yield vectors.negateGradient;
    const places = Array.from({ length: scalars.stored }, (_, i) => (scalars.oldest + i) % this.#options.history_size);
    const alphas: number[] = [];
    for (const place of places.toReversed()) {
      yield vectors.dot(D, OLD_STPS, place);
      const alpha = totals[0] * scalars[`ro_${place}`];
      alphas.unshift(alpha);
      yield vectors.add(D, OLD_DIRS, place, -alpha);
    }
    yield vectors.scale(D, scalars.H_diag);
    for (const [i, place] of places.entries()) {
      yield vectors.dot(D, OLD_DIRS, place);
      yield vectors.add(D, OLD_STPS, place, alphas[i] - totals[0] * scalars[`ro_${place}`]);
    }
  }

  /**
   * Adds the last step and its change of the gradient to the history, if the loss curves upward
   * along it.
   */
  *#remember(): Generator<Pass, void, void> {
    const { scalars } = this;
    const { vectors, totals } = this.#vectors;
    const { history_size: size } = this.#options;
    yield vectors.curvature(scalars.t);
    const [ys, yy] = totals;
    if (!(ys > 1e-10)) return;
    const place = (scalars.oldest + scalars.stored) % size;
    if (scalars.stored === size) scalars.oldest = (scalars.oldest + 1) % size;
    else scalars.stored++;
    scalars[`ro_${place}`] = 1 / ys;
    scalars.H_diag = ys / yy;
    yield vectors.remember(place, scalars.t);
  }

  /** Moves along d to where the search ends; the gradient is there afterwards. */
  *#alongLine(start: Trial, objective: Objective): Generator<Pass | typeof EVALUATE, void, void> {
    const { scalars } = this;
    const { vectors, totals } = this.#vectors;
    yield vectors.keepWeights;
    yield vectors.largestDirection;
    const search = strongWolfe(start, scalars.t, totals[0]);
    let next = search.next();
    while (!next.done) {
      scalars.t = next.value;
      scalars.func_evals++;
      yield vectors.moveTo(scalars.t);
      yield EVALUATE;
      yield vectors.slope;
      next = search.next({ step: scalars.t, loss: objective.loss, slope: totals[0] });
    }
    if (next.value.step === scalars.t) return;
    scalars.t = next.value.step;
    yield vectors.moveTo(scalars.t);
    yield EVALUATE;
  }
}
