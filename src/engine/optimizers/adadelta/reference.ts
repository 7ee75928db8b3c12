import type { ValuesOf } from "../../member/options.ts";
import { each } from "../reference.ts";
import type { adadelta as declaration } from "./adadelta.ts";

export const adadelta = each<ValuesOf<typeof declaration.options>>((options, { weight, gradient, state }, _t, lr) => {
  const { rho, eps } = options;
  const { square_avg: v, acc_delta: a } = state;
  for (let i = 0; i < weight.length; i++) {
    const g = (options.maximize ? -gradient[i] : gradient[i]) + options.weight_decay * weight[i];
    v[i] = rho * v[i] + (1 - rho) * g * g;
    const step = (Math.sqrt(a[i] + eps) / Math.sqrt(v[i] + eps)) * g;
    a[i] = rho * a[i] + (1 - rho) * step * step;
    weight[i] -= lr * step;
  }
});
