/*
 * JSON that keeps every number. JSON has no form for NaN and the infinities, which it makes null,
 * and JSON.stringify makes 0 of -0. Here {"$number": "-Infinity"} stands for such a number. Every
 * other double survives JSON as it is. A text without such objects is read as JSON always was.
 */

const KEY = "$number";

/** The JSON of a value whose numbers may be any. */
export function exactJson(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) => {
    if (typeof item !== "number" || (Number.isFinite(item) && !Object.is(item, -0))) return item;
    return { [KEY]: Object.is(item, -0) ? "-0" : String(item) };
  });
}

/** The value that `exactJson` made the text of. */
export function fromExactJson(text: string): unknown {
  return JSON.parse(text, (_key, item: unknown) =>
    typeof item === "object" && item !== null && KEY in item ? Number(item[KEY]) : item,
  );
}
