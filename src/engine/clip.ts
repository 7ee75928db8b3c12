/*
 * Clipping the gradient, as `torch.nn.utils.clip_grad_norm_` defines it: every gradient is multiplied by
 * min(1, max_norm / (norm + 1e-6)), also when that is 1, where the norm is taken over all parameters together. Norm and factor are
 * computed in double; the factor is rounded to float32 once, when it meets the gradient.
 */

/** The p-norm from the sum of |g|^p (for p = ∞ the largest |g|) over all parameters. */
export function normOf(powerSum: number, p: number, pow: (base: number, exponent: number) => number): number {
  if (p === 1 || p === Infinity) return powerSum;
  return p === 2 ? Math.sqrt(powerSum) : pow(powerSum, 1 / p);
}

/** What every gradient is multiplied by; NaN if the norm is. */
export function clipFactor(norm: number, maxNorm: number): number {
  return Math.min(1, maxNorm / (norm + 1e-6));
}
