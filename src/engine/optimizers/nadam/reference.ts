import type { ValuesOf } from "../../member/options.ts";
import { each } from "../reference.ts";
import type { nadam as declaration } from "./nadam.ts";

export const nadam = each<ValuesOf<typeof declaration.options>>(
  (options, { weight, gradient, state, scalars }, t, lr) => {
    const [beta1, beta2] = options.betas;
    const { exp_avg: m, exp_avg_sq: v } = state;
    const mu = (at: number) => beta1 * (1 - 0.5 * 0.96 ** (at * options.momentum_decay));
    scalars.mu_product *= mu(t);
    const product = scalars.mu_product;
    for (let i = 0; i < weight.length; i++) {
      let g = options.maximize ? -gradient[i] : gradient[i];
      if (options.decoupled_weight_decay) weight[i] *= 1 - lr * options.weight_decay;
      else g += options.weight_decay * weight[i];
      m[i] = beta1 * m[i] + (1 - beta1) * g;
      v[i] = beta2 * v[i] + (1 - beta2) * g * g;
      const denominator = Math.sqrt(v[i] / (1 - beta2 ** t)) + options.eps;
      weight[i] -= (lr * (((1 - mu(t)) / (1 - product)) * g)) / denominator;
      weight[i] -= (lr * ((mu(t + 1) / (1 - product * mu(t + 1))) * m[i])) / denominator;
    }
  },
);
