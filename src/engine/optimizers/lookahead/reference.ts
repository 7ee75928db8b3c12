import { each, type InnerReference } from "../reference.ts";

interface LookaheadOptions {
  readonly optimizer: InnerReference;
  readonly sync_period: number;
  readonly slow_step_size: number;
}

export const lookahead = each<LookaheadOptions>((options, tensor, t, lr) => {
  options.optimizer([tensor], t, lr);
  const { weight, evaluated, state } = tensor;
  const { slow } = state;
  if (t % options.sync_period === 0) {
    for (let i = 0; i < weight.length; i++) {
      slow[i] += options.slow_step_size * (weight[i] - slow[i]);
      weight[i] = slow[i];
    }
  }
  evaluated.set(slow);
});
