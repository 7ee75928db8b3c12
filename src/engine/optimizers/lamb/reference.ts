import type { ValuesOf } from "../../member/options.ts";
import { each } from "../reference.ts";
import type { lamb as declaration } from "./lamb.ts";

export const lamb = each<ValuesOf<typeof declaration.options>>((options, { weight, gradient, state }, t, lr) => {
  const [beta1, beta2] = options.betas;
  const { exp_avg: m, exp_avg_sq: v } = state;
  const direction = weight.map((x, i) => {
    const g = gradient[i];
    m[i] = beta1 * m[i] + (1 - beta1) * g;
    v[i] = beta2 * v[i] + (1 - beta2) * g * g;
    const first = m[i] / (1 - beta1 ** t);
    const second = v[i] / (1 - beta2 ** t);
    return first / (Math.sqrt(second + options.eps_root) + options.eps) + options.weight_decay * x;
  });
  const ratio = norm(weight) / norm(direction);
  const trust = ratio > 0 && Number.isFinite(ratio) ? ratio : 1;
  for (let i = 0; i < weight.length; i++) weight[i] -= lr * trust * direction[i];
});

function norm(x: Float64Array): number {
  return Math.sqrt(x.reduce((sum, value) => sum + value * value, 0));
}
