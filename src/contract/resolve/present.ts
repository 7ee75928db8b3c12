import { Spec } from "../schema/spec.ts";
import { check } from "./faults.ts";

/** The cells of inline rows, which `checkInline` checks. */
export const UNBOUNDED = ["inline", "rows"] as const;

/**
 * A spec that an earlier version stored, as today's code takes it: options that have come since
 * have their defaults. A spec that today's schema refuses stays as it is.
 */
export function presentSpec<T extends Spec>(stored: T): T {
  return (check(Spec, stored, UNBOUNDED).value as T | null) ?? stored;
}
