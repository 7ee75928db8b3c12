import type { Member } from "../settings.ts";
import type { TargetKind } from "../training.ts";
import type { LossType } from "./loss.ts";
import { losses } from "./registry.generated.ts";

/** Whether the loss gives probabilities of classes, and with its default options the log loss. */
export function hasLogLoss({ targets, logLoss = true }: Pick<LossType, "targets" | "logLoss">): boolean {
  return logLoss && (targets === "class" || targets === "probability");
}

/** The kind of targets that a loss compares predictions with. */
export function targetsOf({ type }: Member): TargetKind {
  return losses[type].targets;
}
