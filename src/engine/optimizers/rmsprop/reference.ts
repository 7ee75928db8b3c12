import type { ValuesOf } from "../../options.ts";
import type { Reference } from "../reference.ts";
import type { rmsprop as declaration } from "./rmsprop.ts";

export const rmsprop: Reference<ValuesOf<typeof declaration.options>> = (
  options,
  { weight, gradient, state },
  _t,
  lr,
) => {
  const { alpha, momentum, centered } = options;
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
    let step = g / (Math.sqrt(variance) + options.eps);
    if (momentum > 0) {
      buffer[i] = momentum * buffer[i] + step;
      step = buffer[i];
    }
    weight[i] -= lr * step;
  }
};
