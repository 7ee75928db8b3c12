import type { ValuesOf } from "../../member/options.ts";
import { each } from "../reference.ts";
import type { sgd as declaration } from "./sgd.ts";

type SgdOptions = ValuesOf<typeof declaration.options>;

export const sgd = each<SgdOptions>((options, { weight, gradient, state }, t, lr) => {
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
});

export const keras_sgd = each<SgdOptions>(({ momentum, nesterov }, { weight, gradient, state }, _t, lr) => {
  const m = state.momentum_buffer;
  for (let i = 0; i < weight.length; i++) {
    let step = -lr * gradient[i];
    if (momentum !== 0) {
      m[i] = momentum * m[i] + step;
      step = nesterov ? momentum * m[i] + step : m[i];
    }
    weight[i] += step;
  }
});
