import type { Member } from "../settings.ts";
import type { TargetKind } from "../training.ts";
import { losses } from "./registry.generated.ts";

/** The kind of targets that a loss compares predictions with. */
export function targetsOf({ type }: Member): TargetKind {
  return losses[type].targets;
}
