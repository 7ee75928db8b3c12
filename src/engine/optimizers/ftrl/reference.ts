import type { ValuesOf } from "../../member/options.ts";
import { each } from "../reference.ts";
import { LEAST_RATE, type ftrl as declaration } from "./ftrl.ts";

export const ftrl = each<ValuesOf<typeof declaration.options>>((options, { weight, gradient, state }, _t, lr) => {
  if (lr < LEAST_RATE) return;
  const { l1, l2, l2_shrinkage: shrinkage, beta } = options;
  const power = -options.lr_power;
  const { accumulator: a, linear: z } = state;
  for (let i = 0; i < weight.length; i++) {
    const g = gradient[i];
    const sum = a[i] + g * g;
    z[i] += g + 2 * shrinkage * weight[i] - ((sum ** power - a[i] ** power) / lr) * weight[i];
    a[i] = sum;
    const kept = Math.min(Math.max(z[i], -l1), l1);
    weight[i] = (kept - z[i]) / (sum ** power / lr + 2 * (l2 + beta / (2 * lr)));
  }
});
