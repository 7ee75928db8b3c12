/** The normal distribution, cut off at 0 and 1. */
import { functionKernels } from "../engine/kernels/kernels.ts";
import type { Draws } from "./draws.ts";

/** Even a distribution with its middle at an end is inside with a chance of a third. */
const MOST_DRAWS = 64;

/** A number in [0, 1) from the normal distribution around `mean`, which lies there too. */
export function truncatedNormal(draws: Draws, mean: number, deviation: number): number {
  for (let i = 0; i < MOST_DRAWS; i++) {
    const drawn = mean + deviation * draws.normal();
    if (drawn >= 0 && drawn < 1) return drawn;
  }
  return mean;
}

/** The share of the normal distribution that lies between 0 and 1. */
export function shareInside(mean: number, deviation: number): number {
  const scale = deviation * Math.SQRT2;
  return (erfc(-mean / scale) - erfc((1 - mean) / scale)) / 2;
}

/**
 * The complementary error function, with a relative error below 1.2e-7: Chebyshev fitting of Press
 * et al., Numerical Recipes in C, 2nd edition, section 6.2.
 */
function erfc(x: number): number {
  const t = 1 / (1 + Math.abs(x) / 2);
  const value = t * functionKernels().exp(-x * x + COEFFICIENTS.reduceRight((sum, c) => c + t * sum, 0));
  return x >= 0 ? value : 2 - value;
}

const COEFFICIENTS = [
  -1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398, 1.48851587, -0.82215223,
  0.17087277,
];
