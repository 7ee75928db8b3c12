/*
 * JSON that keeps every number. JSON has no form for NaN and the infinities: they become null.
 * JSON.stringify writes -0 as 0. Here {"$number": "-Infinity"} stands for such a number. JSON keeps
 * every other double exactly. A text without such objects is read as plain JSON.
 */

const KEY = "$number";

/** The JSON of a value that may contain any number. */
export function exactJson(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) => {
    if (typeof item !== "number" || (Number.isFinite(item) && !Object.is(item, -0))) return item;
    return { [KEY]: Object.is(item, -0) ? "-0" : String(item) };
  });
}

/** Reads the text that `exactJson` wrote. */
export function fromExactJson(text: string): unknown {
  return JSON.parse(text, (_key, item: unknown) =>
    typeof item === "object" && item !== null && KEY in item ? Number(item[KEY]) : item,
  );
}
