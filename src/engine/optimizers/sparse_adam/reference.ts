import type { ValuesOf } from "../../member/options.ts";
import { each } from "../reference.ts";
import type { sparse_adam as declaration } from "./sparse_adam.ts";

export const sparse_adam = each<ValuesOf<typeof declaration.options>>(
  (options, { shape, weight, gradient, state }, t, lr) => {
    const [beta1, beta2] = options.betas;
    const { exp_avg: m, exp_avg_sq: v } = state;
    const row = weight.length / shape[0];
    const rate = (lr * Math.sqrt(1 - beta2 ** t)) / (1 - beta1 ** t);
    for (let i = 0; i < weight.length; i++) {
      const first = i - (i % row);
      if (gradient.subarray(first, first + row).every((value) => value === 0)) continue;
      const g = options.maximize ? -gradient[i] : gradient[i];
      m[i] += (1 - beta1) * (g - m[i]);
      v[i] += (1 - beta2) * (g * g - v[i]);
      weight[i] -= (rate * m[i]) / (Math.sqrt(v[i]) + options.eps);
    }
  },
);
