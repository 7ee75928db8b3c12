import { defineElementwise } from "../elementwise.ts";

/**
 * ReLU with a slope below 0 as well, which is also its derivative at 0.
 *
 * Maas, Hannun, Ng, "Rectifier nonlinearities improve neural network acoustic models", ICML 2013.
 */
export const leaky_relu = defineElementwise({
  type: "leaky_relu",
  summary: "ReLU that lets a little through below zero, so that no unit stops learning.",
  formula: "y = x if x > 0 else negative_slope · x",
  source: "torch.nn.LeakyReLU",
  options: {
    negative_slope: { kind: "number", default: 0.01, tries: [-0.5], doc: "Slope where the input is not positive." },
  },
  derivativeOf: "input",
  bind: (kernels, { negative_slope }) => ({
    forward: (x, y, n) => kernels.leaky_relu_forward(x, y, n, negative_slope),
    backward: (x, g, d, n) => kernels.leaky_relu_backward(x, g, d, n, negative_slope),
  }),
});
