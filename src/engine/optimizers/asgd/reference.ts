import type { ValuesOf } from "../../member/options.ts";
import { each } from "../reference.ts";
import type { asgd as declaration } from "./asgd.ts";

export const asgd = each<ValuesOf<typeof declaration.options>>(
  (options, { weight, gradient, state: { ax }, scalars }, t, lr) => {
    const { lambd, alpha, t0 } = options;
    const eta = t === 1 ? lr : scalars.eta;
    for (let i = 0; i < weight.length; i++) {
      const g = (options.maximize ? -gradient[i] : gradient[i]) + options.weight_decay * weight[i];
      weight[i] *= 1 - lambd * eta;
      weight[i] -= eta * g;
      ax[i] = scalars.mu === 1 ? weight[i] : ax[i] + scalars.mu * (weight[i] - ax[i]);
    }
    scalars.eta = lr / (1 + lambd * lr * t) ** alpha;
    scalars.mu = 1 / Math.max(1, t - t0);
  },
);
