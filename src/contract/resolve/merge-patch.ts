/** No spec is deeper than this. Deeper values are left as they are, and the check refuses them. */
const MAX_DEPTH = 8;

/** What tells an optimizer from another, and with it which options there are. */
const KINDS = ["type", "dialect"];

/**
 * A JSON merge patch (RFC 7396): members replace members, null removes them, anything but an object
 * replaces the whole. But what becomes of another type keeps nothing: the options of one optimizer
 * mean nothing to another.
 */
export function mergePatch(target: unknown, patch: unknown, depth = 0): unknown {
  if (!isObject(patch) || depth === MAX_DEPTH) return patch;
  const members = new Map(isObject(target) ? kept(target, patch) : []);
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) members.delete(name);
    else members.set(name, mergePatch(members.get(name), value, depth + 1));
  }
  return Object.fromEntries(members);
}

/** Another dialect of a type has other options, and is of that type still. */
function kept(target: Members, patch: Members): [string, unknown][] {
  if (!isOtherKind(target, patch)) return Object.entries(target);
  return "type" in target && !("type" in patch) ? [["type", target.type]] : [];
}

function isOtherKind(target: Members, patch: Members): boolean {
  return KINDS.some((kind) => kind in target && kind in patch && target[kind] !== patch[kind]);
}

type Members = Record<string, unknown>;

function isObject(value: unknown): value is Members {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
