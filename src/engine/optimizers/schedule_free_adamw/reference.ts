import type { ValuesOf } from "../../member/options.ts";
import { each } from "../reference.ts";
import type { schedule_free_adamw as declaration } from "./schedule_free_adamw.ts";

export const schedule_free_adamw = each<ValuesOf<typeof declaration.options>>((options, tensor, t, lr) => {
  const { weight: y, gradient, state, scalars, evaluated } = tensor;
  const { z, exp_avg_sq: v } = state;
  const [beta1, beta2] = options.betas;
  const { warmup_steps: warmup } = options;
  const rate = (at: number) => (warmup === 0 ? lr : (lr * Math.min(at, warmup)) / warmup);
  scalars.max_lr = Math.max(scalars.max_lr, rate(t));
  scalars.weight_sum += scalars.max_lr ** options.weight_lr_power;
  const share = scalars.weight_sum > 0 ? scalars.max_lr ** options.weight_lr_power / scalars.weight_sum : 0;
  for (let i = 0; i < y.length; i++) {
    const g = gradient[i];
    const x = (y[i] - (1 - beta1) * z[i]) / beta1;
    v[i] = beta2 * v[i] + (1 - beta2) * g * g;
    const step = g / (Math.sqrt(v[i] / (1 - beta2 ** t)) + options.eps) + options.weight_decay * y[i];
    z[i] -= rate(t - 1) * step;
    evaluated[i] = (1 - share) * x + share * z[i];
    y[i] = beta1 * evaluated[i] + (1 - beta1) * z[i];
  }
});
