import type { ValuesOf } from "../../member/options.ts";
import { each, type Reference } from "../reference.ts";
import type { adamOptions, AdamVariant } from "./adam.ts";

type AdamOptions = ValuesOf<typeof adamOptions>;
type OptaxOptions = AdamOptions & { readonly eps_root: number };

export const adam = step(({ decoupled_weight_decay: decoupled }: AdamOptions) => ({ decoupled }));
export const adamw = step(() => ({ decoupled: true }));
export const keras_adam = step(() => ({ epsilonHat: true }));
export const keras_adamw = step(() => ({ decoupled: true, epsilonHat: true }));
export const optax_adam = step(({ eps_root: epsRoot }: OptaxOptions) => ({ epsRoot }));
export const optax_adamw = step(({ eps_root: epsRoot }: OptaxOptions) => ({ decoupled: true, epsRoot }));

function step<O extends AdamOptions>(variantOf: (options: O) => AdamVariant): Reference<O> {
  return each((options: O, { weight, gradient, state }, t, lr) => {
    const [beta1, beta2] = options.betas;
    const { decoupled, epsilonHat, epsRoot = 0 } = variantOf(options);
    const { exp_avg: m, exp_avg_sq: v, max_exp_avg_sq: largest } = state;
    for (let i = 0; i < weight.length; i++) {
      let g = options.maximize ? -gradient[i] : gradient[i];
      if (decoupled) weight[i] *= 1 - lr * options.weight_decay;
      else g += options.weight_decay * weight[i];
      m[i] = beta1 * m[i] + (1 - beta1) * g;
      v[i] = beta2 * v[i] + (1 - beta2) * g * g;
      if (options.amsgrad) largest[i] = Math.max(largest[i], v[i]);
      const correction = 1 - beta2 ** t;
      const second = (options.amsgrad ? largest[i] : v[i]) / correction;
      const eps = epsilonHat ? options.eps / Math.sqrt(correction) : options.eps;
      weight[i] -= (lr * (m[i] / (1 - beta1 ** t))) / (Math.sqrt(second + epsRoot) + eps);
    }
  });
}
