import { defineElementwise } from "../elementwise.ts";

/** A sigmoid of three straight pieces. Its derivative at −3 and at 3 is 0. */
export const hardsigmoid = defineElementwise({
  type: "hardsigmoid",
  summary: "A sigmoid of straight pieces: cheaper, and exactly 0 and 1 beyond ±3.",
  formula: "y = min(max(0, x + 3), 6) / 6",
  source: "torch.nn.Hardsigmoid",
  options: {},
  mortal: true,
  saturates: true,
  gives: "probabilities",
  derivativeOf: "input",
  bind: (kernels) => ({ forward: kernels.hardsigmoid_forward, backward: kernels.hardsigmoid_backward }),
});
