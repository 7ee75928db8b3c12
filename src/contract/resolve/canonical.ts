/** JSON with sorted keys and without spaces: one text for all ways to write a value. */
export function canonicalJson(value: unknown): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  // A shortcut for the rows of a table, because there may be many.
  if (Array.isArray(value) && value.every((item) => isPlain(item) || isPlainList(item))) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  const members = Object.keys(value)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonicalJson((value as Record<string, unknown>)[key])}`);
  return `{${members.join(",")}}`;
}

function isPlainList(value: unknown): boolean {
  return Array.isArray(value) && value.every(isPlain);
}

function isPlain(value: unknown): boolean {
  return typeof value !== "object" || value === null;
}
