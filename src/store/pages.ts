/** Pages of lists. */
import type { Page } from "../contract/wire/common.ts";

export interface PageOptions {
  limit: number;
  /** The `next` of the page before. */
  after?: string;
}

/**
 * `found` holds the items of the cursors, null for one that was removed between the two looks.
 * There are more items than `limit` if a page follows.
 */
export function pageOf<T>(cursors: string[], found: (T | null)[], limit: number): Page<T> {
  const more = cursors.length > limit;
  const data = found.slice(0, limit).filter((item) => item !== null);
  return { data, has_more: more, next: more ? cursors[limit - 1] : null };
}

/** `items` is one more than `limit` if there are more. */
export function page<T>(items: T[], limit: number, cursor: (item: T) => string): Page<T> {
  const data = items.slice(0, limit);
  const more = items.length > limit;
  return { data, has_more: more, next: more ? cursor(data[limit - 1]) : null };
}

/**
 * The range of the ids with a prefix in a sorted set, those before the cursor: as ZREVRANGEBYLEX
 * takes it.
 */
export function idsOf(prefix: "job_" | "pred_", cursor?: string): { below: string; from: string } {
  // The character after "_".
  return { below: `(${cursor ?? prefix.replace("_", "`")}`, from: `[${prefix}` };
}
