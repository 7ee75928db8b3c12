/**
 * What every gradient is multiplied by when the norm over all of them together is limited, as in `torch.nn.utils.clip_grad_norm_`:
 * computed in double and rounded to float32 once, when it meets the gradients. NaN if the norm is.
 */
export function clipCoefficient(norm: number, maxNorm: number): number {
  return Math.min(1, maxNorm / (norm + 1e-6));
}
