import type { ValuesOf } from "../../options.ts";
import type { Reference, ReferenceTensor } from "../reference.ts";
import type { adamOptions } from "./adam.ts";

type AdamOptions = ValuesOf<typeof adamOptions>;

export const adam: Reference<AdamOptions> = (options, tensor, t, lr) => step(options, tensor, t, lr, false);
export const adamw: Reference<AdamOptions> = (options, tensor, t, lr) => step(options, tensor, t, lr, true);

function step(
  options: AdamOptions,
  { weight, gradient, state }: ReferenceTensor,
  t: number,
  lr: number,
  decoupled: boolean,
) {
  const [beta1, beta2] = options.betas;
  const { exp_avg: m, exp_avg_sq: v, max_exp_avg_sq: largest } = state;
  for (let i = 0; i < weight.length; i++) {
    let g = options.maximize ? -gradient[i] : gradient[i];
    if (decoupled) weight[i] *= 1 - lr * options.weight_decay;
    else g += options.weight_decay * weight[i];
    m[i] = beta1 * m[i] + (1 - beta1) * g;
    v[i] = beta2 * v[i] + (1 - beta2) * g * g;
    if (options.amsgrad) largest[i] = Math.max(largest[i], v[i]);
    const second = (options.amsgrad ? largest[i] : v[i]) / (1 - beta2 ** t);
    weight[i] -= (lr * (m[i] / (1 - beta1 ** t))) / (Math.sqrt(second) + options.eps);
  }
}
