import type { ValuesOf } from "../../member/options.ts";
import type { Reference } from "../reference.ts";
import type { prodigy as declaration } from "./prodigy.ts";

type ProdigyOptions = ValuesOf<typeof declaration.options>;

export const prodigy = step(false);
export const optax_prodigy = step(true);

/** Algorithm 4 of the paper; with `newEps` as in optax. */
function step(newEps: boolean): Reference<ProdigyOptions> {
  return (options, tensors, t, lr) => {
    const [beta1, beta2] = options.betas;
    const beta3 = options.beta3 ?? Math.sqrt(beta2);
    const [{ scalars }] = tensors;
    const { d } = scalars;
    const gamma = options.use_bias_correction ? (lr * Math.sqrt(1 - beta2 ** t)) / (1 - beta1 ** t) : lr;
    let product = 0;
    let size = 0;
    for (const { weight, gradient, state } of tensors) {
      const { exp_avg: m, exp_avg_sq: v, s, p0 } = state;
      gradient.forEach((g, i) => {
        m[i] = beta1 * m[i] + (1 - beta1) * d * g;
        v[i] = beta2 * v[i] + (1 - beta2) * d * d * g * g;
        s[i] = beta3 * s[i] + (1 - beta3) * gamma * d * d * g;
        product += g * (p0[i] - weight[i]);
        size += Math.abs(s[i]);
      });
    }
    scalars.d_numerator = beta3 * scalars.d_numerator + (1 - beta3) * gamma * d * d * product;
    if (size > 0) scalars.d = Math.max(d, (options.d_coef * scalars.d_numerator) / size);
    const eps = options.eps * (newEps ? scalars.d : d);
    for (const { weight, state } of tensors) {
      const { exp_avg: m, exp_avg_sq: v } = state;
      for (let i = 0; i < weight.length; i++) {
        weight[i] *= 1 - gamma * d * options.weight_decay;
        weight[i] -= (gamma * d * m[i]) / (Math.sqrt(v[i]) + eps);
      }
    }
  };
}
