/** The codes of warnings about initial weights, and what each means. */
export const initWarningCodes = {
  converted_weights: "initial weights had another element type and were converted",
  left_weights: "tensors of the initial weights are not used",
  random_weights: "weights that the initial weights lack are random",
  pooled_rows: "the pooled model trains on rows that validate or test in models that begin with it",
} as const;
