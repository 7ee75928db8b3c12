import { defineLayer } from "../layer.ts";

/**
 * In training each element is kept with probability 1 − p and multiplied by 1/(1 − p), else it
 * becomes 0; when evaluating the input passes unchanged. Semantics of `torch.nn.Dropout`, random
 * numbers our own: whether an element is kept is a function of (seed, batch, layer, element of the
 * batch), so the backward pass draws the same mask again instead of storing it.
 *
 * Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15
 * (2014).
 */
export const dropout = defineLayer({
  type: "dropout",
  summary: "Zeroes random elements while training, against overfitting.",
  formula: "y = x · mask / (1 − p), mask ~ Bernoulli(1 − p); y = x when evaluating",
  source: "torch.nn.Dropout",
  options: {
    p: { kind: "number", default: 0.5, min: 0, max: 1, doc: "Probability of zeroing an element." },
  },
  random: ({ p }) => p > 0,
  keepsShape: true,
  packs: true,
  inPlace: true,
  needs: { backward: [], gradient: [] },
  shape: (_options, [{ shape }]) => ({ output: shape, parameters: [] }),
  create(kernels, options, { inputs: [input], output, stream }) {
    const { size } = input;
    const drop = (from: number, to: number, begin: number, end: number, low: number, high: number, batch: number) =>
      kernels.dropout(from, to, begin * size, end * size, low, high, stream, batch, options.p);
    return {
      forward(_weights, begin, end, pass) {
        if (pass.training) drop(input.address, output.address, begin, end, pass.seedLow, pass.seedHigh, pass.batch);
        else kernels.copy(output.address + begin * size * 4, input.address + begin * size * 4, (end - begin) * size);
      },
      backward(_weights, begin, end, pass) {
        drop(output.gradient, input.gradient, begin, end, pass.seedLow, pass.seedHigh, pass.batch);
      },
    };
  },
});
