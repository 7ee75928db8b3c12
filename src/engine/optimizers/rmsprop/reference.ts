import type { ValuesOf } from "../../member/options.ts";
import { each, type Reference } from "../reference.ts";
import type { rmsprop as declaration, RmspropVariant } from "./rmsprop.ts";

type RmspropOptions = ValuesOf<typeof declaration.options>;
type OptaxOptions = RmspropOptions & { readonly eps_in_sqrt: boolean };

export const rmsprop = step(() => ({}));
export const keras_rmsprop = step(() => ({ epsInside: true, rateInside: true }));
export const optax_rmsprop = step((options: OptaxOptions) => ({ epsInside: options.eps_in_sqrt, rateInside: true }));

function step<O extends RmspropOptions>(variantOf: (options: O) => RmspropVariant): Reference<O> {
  return each((options: O, { weight, gradient, state }, _t, lr) => {
    const { alpha, momentum, centered, eps } = options;
    const { epsInside, rateInside } = variantOf(options);
    const { square_avg: v, grad_avg: a, momentum_buffer: buffer } = state;
    for (let i = 0; i < weight.length; i++) {
      let g = options.maximize ? -gradient[i] : gradient[i];
      g += options.weight_decay * weight[i];
      v[i] = alpha * v[i] + (1 - alpha) * g * g;
      let variance = v[i];
      if (centered) {
        a[i] = alpha * a[i] + (1 - alpha) * g;
        variance = Math.max(v[i] - a[i] * a[i], 0);
      }
      let step = g / (epsInside ? Math.sqrt(variance + eps) : Math.sqrt(variance) + eps);
      if (rateInside) step *= lr;
      if (momentum > 0) {
        buffer[i] = momentum * buffer[i] + step;
        step = buffer[i];
      }
      weight[i] -= rateInside ? step : lr * step;
    }
  });
}
