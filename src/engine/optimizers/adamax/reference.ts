import type { ValuesOf } from "../../member/options.ts";
import { each, type Reference } from "../reference.ts";
import type { adamax as declaration } from "./adamax.ts";

type AdamaxOptions = ValuesOf<typeof declaration.options>;

export const adamax = step(false);
export const keras_adamax = step(true);

function step(epsOutside: boolean): Reference<AdamaxOptions> {
  return each((options, { weight, gradient, state }, t, lr) => {
    const [beta1, beta2] = options.betas;
    const { exp_avg: m, exp_inf: u } = state;
    for (let i = 0; i < weight.length; i++) {
      const g = (options.maximize ? -gradient[i] : gradient[i]) + options.weight_decay * weight[i];
      m[i] = beta1 * m[i] + (1 - beta1) * g;
      u[i] = Math.max(beta2 * u[i], Math.abs(g) + (epsOutside ? 0 : options.eps));
      weight[i] -= ((lr / (1 - beta1 ** t)) * m[i]) / (u[i] + (epsOutside ? options.eps : 0));
    }
  });
}
