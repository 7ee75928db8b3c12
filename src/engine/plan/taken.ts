import { layers } from "../layers/registry.generated.ts";
import type { ElementType } from "../member/shape.ts";
import type { Member } from "../settings.ts";
import { leavesOf, listsOf } from "./containers.ts";

/**
 * What the features of the data become: one input of numbers, one of integers, or the columns of a
 * table apart (`COLUMN_INPUTS`).
 */
export type FeatureForm = ElementType | "columns";

/** The form of the features that these layers take. */
export function takenBy(members: readonly Member[]): FeatureForm {
  const takesColumns = leavesOf(members).some(({ type }) => layers[type]?.takesColumns);
  return takesColumns ? "columns" : firstTaken(members);
}

/** The elements that the first of these layers takes, which the features have to be. */
function firstTaken([first]: readonly Member[]): ElementType {
  if (first === undefined) return "float32";
  const [inner] = listsOf(first);
  if (inner !== undefined) return firstTaken(inner[1]);
  const { takes = "float32" } = layers[first.type] ?? {};
  return typeof takes === "string" ? takes : takes[0];
}
