import { defineSampler } from "./sampler.ts";

/**
 * Bergstra & Bengio, "Random Search for Hyper-Parameter Optimization", JMLR 13 (2012).
 */
export const random = defineSampler({
  type: "random",
  summary: "Independent random values: the baseline that each other sampler must beat.",
  formula: "uniform in each parameter; log_uniform in its logarithm",
  source: "Bergstra & Bengio 2012",
  options: {},
  sample: (_options, { study, draws }) => study.parameters.map(() => draws.uniform()),
});
