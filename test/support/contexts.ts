/** The part of a `ResolveContext` for specs that take nothing over from other jobs. */
export const noOtherJobs = {
  encoders: async () => null,
  weights: async () => null,
  checkpoint: async () => null,
};

/** What is told of such a job. */
export const nothingTold = { encoders: null, init: null };
