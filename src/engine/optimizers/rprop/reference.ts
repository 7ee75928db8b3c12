import type { ValuesOf } from "../../member/options.ts";
import { each } from "../reference.ts";
import type { rprop as declaration } from "./rprop.ts";

export const rprop = each<ValuesOf<typeof declaration.options>>((options, { weight, gradient, state }, t, lr) => {
  const [shorter, longer] = options.etas;
  const [least, most] = options.step_sizes;
  const { prev: previous, step_size: step } = state;
  if (t === 1) step.fill(lr);
  for (let i = 0; i < weight.length; i++) {
    let g = options.maximize ? -gradient[i] : gradient[i];
    const s = Math.sign(g * previous[i]);
    if (s > 0) step[i] *= longer;
    if (s < 0) {
      step[i] *= shorter;
      g = 0;
    }
    step[i] = Math.min(Math.max(step[i], least), most);
    weight[i] -= Math.sign(g) * step[i];
    previous[i] = g;
  }
});
