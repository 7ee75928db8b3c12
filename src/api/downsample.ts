import type { Series } from "../contract/wire/metrics.ts";

/**
 * Thins a curve to at most `maxPoints` points (at least 2). Its ends stay, and the lowest and
 * highest point of every stretch, and so those of the whole. Every point that is kept is a point of
 * the curve. The same curve gives the same points.
 *
 * The points between the first and the last are cut into equal stretches, each of which keeps its
 * two extremes. Fewer than 4 points leave no room for that: then only the extremes of the whole are
 * kept.
 */
export function downsample(series: Series, maxPoints: number): Series {
  if (series.steps.length <= maxPoints) return series;
  const kept = positionsKept(series.values, maxPoints);
  return { steps: kept.map((i) => series.steps[i]), values: kept.map((i) => series.values[i]) };
}

/** NaN stands for a missing value, as null does. */
type Values = ArrayLike<number | null>;

/** Positions, ascending, of the points that stay of a curve of more than `maxPoints`. */
export function positionsKept(values: Values, maxPoints: number): number[] {
  const count = values.length;
  const ends = maxPoints < 4 ? 0 : 1;
  const inner = count - 2 * ends;
  const stretches = Math.floor((maxPoints - 2 * ends) / 2);
  const kept: number[] = ends ? [0] : [];
  for (let i = 0; i < stretches; i++) {
    const begin = ends + Math.floor((i * inner) / stretches);
    const end = ends + Math.floor(((i + 1) * inner) / stretches);
    kept.push(...extremes(values, begin, end));
  }
  if (ends) kept.push(count - 1);
  return kept;
}

/**
 * Positions of the lowest and the highest value in begin..end, ascending; one position if they are
 * the same.
 */
function extremes(values: Values, begin: number, end: number): number[] {
  let low = begin;
  let high = begin;
  let min = Infinity;
  let max = -Infinity;
  for (let i = begin; i < end; i++) {
    const value = values[i];
    // A value that is not finite has no place in the order. It is kept only if a stretch has no
    // other value.
    if (value === null) continue;
    if (value < min) [low, min] = [i, value];
    if (value > max) [high, max] = [i, value];
  }
  return low === high ? [low] : [Math.min(low, high), Math.max(low, high)];
}
