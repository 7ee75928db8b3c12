import type { ValuesOf } from "../../member/options.ts";
import { each, type Reference } from "../reference.ts";
import type { adagrad as declaration } from "./adagrad.ts";

type AdagradOptions = ValuesOf<typeof declaration.options>;

export const adagrad = step((sum, eps) => Math.sqrt(sum) + eps);
export const keras_adagrad = step((sum, eps) => Math.sqrt(sum + eps));

function step(root: (sum: number, eps: number) => number): Reference<AdagradOptions> {
  return each((options, { weight, gradient, state: { sum } }, t, lr) => {
    const rate = lr / (1 + (t - 1) * options.lr_decay);
    for (let i = 0; i < weight.length; i++) {
      const g = (options.maximize ? -gradient[i] : gradient[i]) + options.weight_decay * weight[i];
      sum[i] += g * g;
      weight[i] -= (rate * g) / root(sum[i], options.eps);
    }
  });
}
