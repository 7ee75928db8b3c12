/** How the values of a metric are spread over the models of a set. */
export interface Distribution {
  readonly mean: number;
  /** The root of the mean squared deviation from the mean (population, as everywhere here). */
  readonly std: number;
  readonly min: number;
  readonly p10: number;
  readonly p50: number;
  readonly p90: number;
  readonly max: number;
}

/**
 * Sums run in the order of the models, in double. So the numbers depend on the values alone. The
 * array is sorted afterwards. @param values at least one
 */
export function distributionOf(values: Float64Array): Distribution {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  values.sort();
  return {
    mean,
    std: Math.sqrt(squares / values.length),
    min: values[0],
    p10: quantile(values, 0.1),
    p50: quantile(values, 0.5),
    p90: quantile(values, 0.9),
    max: values[values.length - 1],
  };
}

/** Between two values it is on the straight line from one to the other, as in numpy.quantile. */
function quantile(sorted: Float64Array, share: number): number {
  const at = share * (sorted.length - 1);
  const below = Math.floor(at);
  const [low, high] = [sorted[below], sorted[Math.min(below + 1, sorted.length - 1)]];
  return low + (high - low) * (at - below);
}
