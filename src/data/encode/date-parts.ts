/** A date as numbers, all in UTC. */
import type { DatePart } from "./encoding.ts";

const DAY_MS = 24 * 60 * 60 * 1000;

const parts: Readonly<Record<DatePart, (ms: number) => number>> = {
  year: (ms) => new Date(ms).getUTCFullYear(),
  month: (ms) => new Date(ms).getUTCMonth() + 1,
  // The week of `Date` begins with Sunday.
  day_of_week: (ms) => (new Date(ms).getUTCDay() + 6) % 7,
  hour: (ms) => new Date(ms).getUTCHours(),
  elapsed_days: (ms) => ms / DAY_MS,
};

/**
 * The part of each time in milliseconds since 1970: month from 1, day of the week from 0 for
 * Monday, days since 1970 with their fraction. NaN stays NaN.
 */
export function datePart(times: Float64Array, part: DatePart): Float64Array {
  return times.map(parts[part]);
}
