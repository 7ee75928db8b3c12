/** What requests of many routes have in common, as zod schemas. */
import { z } from "zod";

/**
 * A number in a query; only digits, so that `1e3`, `0x10` and the empty string are faults and not
 * numbers.
 */
export function queryInteger<T extends z.ZodType>(schema: T) {
  return z.preprocess(
    (value) => (typeof value === "string" && /^\d{1,16}$/.test(value) ? Number(value) : value),
    schema,
  );
}

const MAX_SEPARATED = 100;

/** Values separated by commas, or given by repeating the parameter. */
export function commaSeparated<T extends z.ZodEnum | z.ZodString>(item: T) {
  const split = (value: unknown) => {
    const items = [value].flat().flatMap((text) => (typeof text === "string" ? text.split(",") : [text]));
    // One more than the limit is enough to know that there are too many.
    return items.slice(0, MAX_SEPARATED + 1);
  };
  return z.preprocess(split, z.array(item).min(1).max(MAX_SEPARATED));
}

/** The query of a list; a cursor is what stands in the last item of a page, an id or a number. */
export function pageQuery<T extends z.ZodString>(cursor: T) {
  return {
    limit: queryInteger(z.int().min(1).max(100).default(20)).describe("How many to give at most."),
    after: cursor.optional().describe("The `next` of the page before."),
  };
}

export const numberCursor = z.string().regex(/^\d{1,15}$/, "must be the `next` of an earlier answer");
