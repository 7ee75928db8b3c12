import { isDeepStrictEqual } from "node:util";
import { MAX_DEPTH } from "./faults.ts";

/** The members that say which optimizer it is, and so which options it has. */
const KINDS = ["type", "dialect"];

/**
 * Applies a JSON merge patch (RFC 7396): members replace members, null removes them, and anything
 * but an object replaces the whole. Unlike there, an object that gets another type keeps nothing,
 * because the options of one optimizer mean nothing to another.
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

/** The merge patch that makes one value of another. What lacks a member has its default. */
export function patchBetween(from: unknown, to: unknown): unknown {
  if (!isObject(from) || !isObject(to) || isOtherKind(from, to)) return to;
  const patch: Members = {};
  for (const name of new Set([...Object.keys(from), ...Object.keys(to)])) {
    if (!isDeepStrictEqual(from[name], to[name])) patch[name] = patchBetween(from[name], to[name] ?? null);
  }
  return patch;
}

/** Another dialect of a type has other options, but the type stays. */
function kept(target: Members, patch: Members): [string, unknown][] {
  if (!isOtherKind(target, patch)) return Object.entries(target);
  return "type" in target && !("type" in patch) ? [["type", target.type]] : [];
}

function isOtherKind(target: Members, patch: Members): boolean {
  return KINDS.some((kind) => kind in target && kind in patch && target[kind] !== patch[kind]);
}

type Members = Record<string, unknown>;

export function isObject(value: unknown): value is Members {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
