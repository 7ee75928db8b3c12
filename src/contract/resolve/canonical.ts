/** JSON with sorted keys and without spaces: one text for all ways to write a value. */
export function canonicalJson(value: unknown): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if (isTable(value)) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  const members = Object.keys(value)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonicalJson((value as Record<string, unknown>)[key])}`);
  return `{${members.join(",")}}`;
}

/**
 * Whether it is a list of plain values, or of lists of them. Rows of a table are such a list, and
 * there may be so many that they need a shortcut.
 */
export function isTable(value: unknown): boolean {
  return isList(value, (item) => isPlain(item) || isList(item, isPlain));
}

function isList(value: unknown, of: (item: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(of);
}

function isPlain(value: unknown): boolean {
  return typeof value !== "object" || value === null;
}
