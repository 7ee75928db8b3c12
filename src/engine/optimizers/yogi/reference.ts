import type { ValuesOf } from "../../member/options.ts";
import { each } from "../reference.ts";
import type { yogi as declaration } from "./yogi.ts";

export const yogi = each<ValuesOf<typeof declaration.options>>((options, { weight, gradient, state }, t, lr) => {
  const [beta1, beta2] = options.betas;
  const { exp_avg: m, exp_avg_sq: v } = state;
  for (let i = 0; i < weight.length; i++) {
    const square = gradient[i] * gradient[i];
    m[i] = beta1 * m[i] + (1 - beta1) * gradient[i];
    v[i] -= (1 - beta2) * Math.sign(v[i] - square) * square;
    weight[i] -= (lr * (m[i] / (1 - beta1 ** t))) / (Math.sqrt(v[i] / (1 - beta2 ** t)) + options.eps);
  }
});
