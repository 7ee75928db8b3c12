import type { ValuesOf } from "../../member/options.ts";
import { each } from "../reference.ts";
import type { novograd as declaration } from "./novograd.ts";

export const novograd = each<ValuesOf<typeof declaration.options>>((options, { weight, gradient, state }, t, lr) => {
  const [beta1, beta2] = options.betas;
  const { exp_avg: m, exp_avg_sq: v } = state;
  const square = gradient.reduce((sum, g) => sum + g * g, 0);
  v[0] = t === 1 ? square : beta2 * v[0] + (1 - beta2) * square;
  for (let i = 0; i < weight.length; i++) {
    const u = gradient[i] / (Math.sqrt(v[0] + options.eps_root) + options.eps) + options.weight_decay * weight[i];
    m[i] = t === 1 ? u : beta1 * m[i] + u;
    weight[i] -= lr * m[i];
  }
});
