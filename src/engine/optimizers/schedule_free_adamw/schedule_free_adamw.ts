import { defineOptimizer, zeros } from "../optimizer.ts";

/**
 * Schedule-free AdamW needs no schedule, because the weights that are evaluated and served are an
 * average of the iterates.
 *
 *     rₜ = lr · min(t, warmup_steps)/warmup_steps     c = wₜ/Σw, wₜ = (largest r)^weight_lr_power
 *     v = β₂ v + (1 − β₂) g²                               g is taken at y
 *     z = z − rₜ₋₁ · (g / (√(v/(1 − β₂ᵗ)) + eps) + weight_decay · y)
 *     x = (1 − c) x + c z
 *     y = β₁ x + (1 − β₁) z
 *
 * y is trained and x is evaluated. x is not stored: it is (y − (1 − β₁) z)/β₁. With warm-up the
 * first step has the rate 0, because the base optimizer counts from 0. Defazio et al., "The road
 * less scheduled", NeurIPS 2024 (arXiv:2405.15682), algorithm 1. Semantics of
 * `optax.contrib.schedule_free_adamw`. Leave the schedule of the job constant.
 *
 * Without warm-up all wₜ are equal, and x is the plain mean of z₁ … zₜ. With lr = 0.1 and a
 * gradient of 1 z goes 0 → −0.1 → −0.2, and x goes 0 → −0.1 → −0.15.
 */
export const schedule_free_adamw = defineOptimizer({
  type: "schedule_free_adamw",
  summary: "AdamW that averages its iterates instead of decaying the rate: no schedule, good weights at any time.",
  formula: "z −= r · (g/(√v̂ + eps) + weight_decay·y); x = (1−c)x + c·z; y = β₁x + (1−β₁)z",
  source: "Defazio et al. 2024, arXiv:2405.15682; optax.contrib.schedule_free_adamw",
  options: {
    lr: { kind: "number", default: 0.0025, min: 0, tries: [0.02], doc: "Learning rate." },
    betas: {
      kind: "numbers",
      length: 2,
      default: [0.9, 0.999],
      min: 0,
      below: 1,
      doc: "Share of the average in the weights that are trained (above 0), and decay of the average of the squared gradient.",
    },
    eps: { kind: "number", default: 1e-8, min: 0, tries: [0.01], doc: "Added to the denominator." },
    weight_decay: {
      kind: "number",
      default: 0,
      min: 0,
      doc: "Decoupled weight decay of the weights that are trained.",
    },
    warmup_steps: { kind: "integer", default: 0, min: 0, doc: "Steps over which the rate rises from 0." },
    weight_lr_power: {
      kind: "number",
      default: 2,
      min: 0,
      doc: "An iterate's weight in the average is the largest rate so far to this power.",
    },
  },
  evaluatesOthers: true,
  state: () => [{ name: "z", initial: "parameter" }, ...zeros("exp_avg_sq")],
  check: ({ betas }) =>
    betas[0] > 0
      ? []
      : [{ option: "betas", message: "the first must be above 0: the average is computed by dividing by it" }],
  create(kernels, options) {
    const [beta1, beta2] = options.betas;
    const warm = (t: number) => Math.min(t, options.warmup_steps) / options.warmup_steps;
    const scalars = { weight_sum: 0, max_lr: 0 };
    let scale2 = 1;
    let rate = 0;
    let share = 0;
    return {
      scalars,
      begin(t, lr) {
        scale2 = 1 / Math.sqrt(1 - kernels.pow(beta2, t));
        rate = options.warmup_steps === 0 ? lr : lr * warm(t - 1);
        scalars.max_lr = Math.max(scalars.max_lr, options.warmup_steps === 0 ? lr : lr * warm(t));
        const weight = kernels.pow(scalars.max_lr, options.weight_lr_power);
        scalars.weight_sum += weight;
        share = scalars.weight_sum > 0 ? weight / scalars.weight_sum : 0;
      },
      passes: [
        {
          run({ weight, gradient, state: [z, v] }, begin, end) {
            const at = begin * 4;
            // prettier-ignore
            kernels.schedule_free_adamw(
              weight + at, gradient + at, z + at, v + at, end - begin, 1 - beta1, beta2, 1 - beta2, scale2,
              options.eps, options.weight_decay, rate, 1 - share, 1 - beta1 + beta1 * share,
            );
          },
        },
      ],
      evaluate({ weight, evaluated, state: [z] }, begin, end) {
        const at = begin * 4;
        kernels.schedule_free_average(evaluated + at, weight + at, z + at, end - begin, beta1, 1 - beta1);
      },
    };
  },
});
