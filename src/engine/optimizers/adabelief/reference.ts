import type { ValuesOf } from "../../member/options.ts";
import { each } from "../reference.ts";
import type { adabelief as declaration } from "./adabelief.ts";

export const adabelief = each<ValuesOf<typeof declaration.options>>((options, { weight, gradient, state }, t, lr) => {
  const [beta1, beta2] = options.betas;
  const { exp_avg: m, exp_avg_sq: v } = state;
  for (let i = 0; i < weight.length; i++) {
    m[i] = beta1 * m[i] + (1 - beta1) * gradient[i];
    v[i] = beta2 * v[i] + (1 - beta2) * (gradient[i] - m[i]) ** 2 + options.eps_root;
    weight[i] -= (lr * (m[i] / (1 - beta1 ** t))) / (Math.sqrt(v[i] / (1 - beta2 ** t)) + options.eps);
  }
});
