import type { ValuesOf } from "../../member/options.ts";
import { each } from "../reference.ts";
import type { lion as declaration } from "./lion.ts";

export const lion = each<ValuesOf<typeof declaration.options>>((options, { weight, gradient, state }, _t, lr) => {
  const [beta1, beta2] = options.betas;
  const m = state.exp_avg;
  for (let i = 0; i < weight.length; i++) {
    const u = Math.sign(beta1 * m[i] + (1 - beta1) * gradient[i]);
    m[i] = beta2 * m[i] + (1 - beta2) * gradient[i];
    weight[i] -= lr * (u + options.weight_decay * weight[i]);
  }
});
