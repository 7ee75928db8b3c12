/**
 * Lists of milestones in ascending order; a schedule is asked at every step, and its list is sorted
 * once.
 */
const sorted = new WeakMap<readonly number[], Float64Array>();

/**
 * How many of the milestones are at most `t`. Takes the logarithm of their number: there may be ten
 * thousand.
 */
export function milestonesPassed(milestones: readonly number[], t: number): number {
  const ascending = sorted.get(milestones) ?? Float64Array.from(milestones).sort();
  sorted.set(milestones, ascending);
  let low = 0;
  let high = ascending.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (ascending[middle] <= t) low = middle + 1;
    else high = middle;
  }
  return low;
}
