import type { ValuesOf } from "../../options.ts";
import type { Reference } from "../reference.ts";
import type { sgd as declaration } from "./sgd.ts";

export const sgd: Reference<ValuesOf<typeof declaration.options>> = (options, { weight, gradient, state }, t, lr) => {
  const { momentum, dampening, nesterov } = options;
  const buffer = state.momentum_buffer;
  for (let i = 0; i < weight.length; i++) {
    let g = options.maximize ? -gradient[i] : gradient[i];
    g += options.weight_decay * weight[i];
    if (momentum !== 0) {
      buffer[i] = t === 1 ? g : momentum * buffer[i] + (1 - dampening) * g;
      g = nesterov ? g + momentum * buffer[i] : buffer[i];
    }
    weight[i] -= lr * g;
  }
};
