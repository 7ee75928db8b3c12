import { z } from "zod";
import { MAX_FAULTS } from "../resolve/faults.ts";

/**
 * An array that is not checked beyond its hundredth faulty item. An answer describes no more
 * faults, and zod takes some microseconds for each: half a second for the longest lists.
 */
const List = z.core.$constructor("List", (list: z.ZodArray, def: z.core.$ZodArrayDef) => {
  z.ZodArray.init(list, def);
  const { parse } = list._zod;
  list._zod.parse = (payload, context) => {
    const items = payload.value as unknown;
    if (!Array.isArray(items)) return parse(payload, context);
    const values: unknown[] = [];
    let faulty = 0;
    for (const [i, item] of items.entries()) {
      // Items of lists are plain values, which are parsed at once.
      const { value, issues } = def.element._zod.run({ value: item, issues: [] }, context) as z.core.ParsePayload;
      values.push(value);
      if (issues.length === 0) continue;
      payload.issues.push(...z.core.util.prefixIssues(i, issues));
      if (++faulty === MAX_FAULTS) break;
    }
    // Its length counts all items.
    payload.value = values.concat(items.slice(values.length));
    return payload;
  };
});

/** A list of plain values. */
export function listOf<T extends z.ZodString | z.ZodNumber>(item: T): z.ZodArray<T> {
  return new List({ type: "array", element: item }) as unknown as z.ZodArray<T>;
}
