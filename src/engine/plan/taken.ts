import { layers } from "../layers/registry.generated.ts";
import type { ElementType } from "../member/shape.ts";
import type { Member } from "../settings.ts";
import { listsOf } from "./containers.ts";

/** The elements that the first of these layers takes, which the features have to be. */
export function takenBy([first]: readonly Member[]): ElementType {
  if (first === undefined) return "float32";
  const [inner] = listsOf(first);
  if (inner !== undefined) return takenBy(inner[1]);
  const { takes = "float32" } = layers[first.type] ?? {};
  return typeof takes === "string" ? takes : takes[0];
}
