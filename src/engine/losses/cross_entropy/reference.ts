/**
 * The loss of one sample and its gradient, from the logits x, the target probabilities t, the class
 * weights w and label_smoothing.
 */
export function crossEntropy(
  x: readonly number[],
  t: readonly number[],
  w: readonly number[],
  label_smoothing: number,
): { term: number; gradient: number[] } {
  const greatest = Math.max(...x);
  const sum = x.reduce((total, logit) => total + Math.exp(logit - greatest), 0);
  const weighted = t.map((share, c) => w[c] * ((1 - label_smoothing) * share + label_smoothing / x.length));
  const mass = weighted.reduce((total, share) => total + share, 0);
  return {
    term: weighted.reduce(
      (total, share, c) => total - (share === 0 ? 0 : share * (x[c] - greatest - Math.log(sum))),
      0,
    ),
    gradient: weighted.map((share, c) => (mass * Math.exp(x[c] - greatest)) / sum - share),
  };
}
