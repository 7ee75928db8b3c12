import type { ValuesOf } from "../../member/options.ts";
import { each } from "../reference.ts";
import type { ademamix as declaration } from "./ademamix.ts";

type AdemamixOptions = ValuesOf<typeof declaration.options> & { readonly eps_root?: number };

/** Algorithm 1 of the paper. */
export const ademamix = each<AdemamixOptions>((options, { weight, gradient, state }, t, lr) => {
  const [beta1, beta2, beta3] = options.betas;
  const { exp_avg_fast: m1, exp_avg_slow: m2, exp_avg_sq: v } = state;
  const alpha = options.alpha * Math.min(t / (options.alpha_warmup ?? 1), 1);
  const s = Math.min(t / (options.beta3_warmup ?? 1), 1);
  const slow = Math.exp((Math.log(beta1) * Math.log(beta3)) / ((1 - s) * Math.log(beta3) + s * Math.log(beta1)));
  for (let i = 0; i < weight.length; i++) {
    const g = gradient[i];
    m1[i] = beta1 * m1[i] + (1 - beta1) * g;
    m2[i] = slow * m2[i] + (1 - slow) * g;
    v[i] = beta2 * v[i] + (1 - beta2) * g * g;
    const root = Math.sqrt(v[i] / (1 - beta2 ** t) + (options.eps_root ?? 0));
    const direction = (m1[i] / (1 - beta1 ** t) + alpha * m2[i]) / (root + options.eps);
    weight[i] -= lr * (direction + options.weight_decay * weight[i]);
  }
});

export const optax_ademamix = ademamix;
