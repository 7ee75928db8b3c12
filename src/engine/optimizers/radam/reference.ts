import type { ValuesOf } from "../../member/options.ts";
import { each } from "../reference.ts";
import type { radam as declaration } from "./radam.ts";

export const radam = each<ValuesOf<typeof declaration.options>>((options, { weight, gradient, state }, t, lr) => {
  const [beta1, beta2] = options.betas;
  const { exp_avg: m, exp_avg_sq: v } = state;
  const longest = 2 / (1 - beta2) - 1;
  const rho = longest - (2 * t * beta2 ** t) / (1 - beta2 ** t);
  const r = Math.sqrt(((rho - 4) * (rho - 2) * longest) / ((longest - 4) * (longest - 2) * rho));
  for (let i = 0; i < weight.length; i++) {
    let g = options.maximize ? -gradient[i] : gradient[i];
    if (options.decoupled_weight_decay) weight[i] *= 1 - lr * options.weight_decay;
    else g += options.weight_decay * weight[i];
    m[i] = beta1 * m[i] + (1 - beta1) * g;
    v[i] = beta2 * v[i] + (1 - beta2) * g * g;
    const first = m[i] / (1 - beta1 ** t);
    weight[i] -= rho > 5 ? (lr * first * r * Math.sqrt(1 - beta2 ** t)) / (Math.sqrt(v[i]) + options.eps) : lr * first;
  }
});
