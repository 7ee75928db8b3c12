/**
 * Lists of milestones in ascending order. They are kept because a schedule is asked at every step,
 * and sorting once is enough.
 */
const sorted = new WeakMap<readonly number[], Float64Array>();

/**
 * How many of the milestones are at most `t`. It is a binary search, because there may be ten
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
