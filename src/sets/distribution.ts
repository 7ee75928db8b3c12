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
  // Squares of huge values have no number. A power of two as the unit changes no other bits.
  const unit = values.some((value) => Math.abs(value) > 2 ** 400) ? 2 ** 600 : 1;
  const mean = values.reduce((sum, value) => sum + value / unit, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value / unit - mean) ** 2, 0);
  values.sort();
  return {
    mean: mean * unit,
    std: Math.sqrt(squares / values.length) * unit,
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

/**
 * How the values so far are spread, in few numbers that can be added to those of other shards
 * (lua/shared/set.lua). Each is finite, as JSON has no others.
 */
export interface Moments {
  count: number;
  mean: number;
  /** The sum of the squared deviations from the mean. */
  squares: number;
  min: number;
  max: number;
}

/** Adds a finite value. */
export function addTo(moments: Moments | undefined, value: number): Moments {
  if (moments === undefined) return { count: 1, mean: value, squares: 0, min: value, max: value };
  moments.count++;
  const before = value - moments.mean;
  moments.mean = finite(moments.mean + before / moments.count);
  moments.squares = finite(moments.squares + before * (value - moments.mean));
  moments.min = Math.min(moments.min, value);
  moments.max = Math.max(moments.max, value);
  return moments;
}

function finite(value: number): number {
  return Math.max(-Number.MAX_VALUE, Math.min(Number.MAX_VALUE, value)) || 0;
}
