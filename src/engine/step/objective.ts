import type { Kernels } from "../kernels/kernels.ts";
import { losses } from "../losses/registry.generated.ts";
import { hasLogLoss } from "../losses/targets.ts";
import type { Loss } from "../losses/loss.ts";
import { withDefaults } from "../member/options.ts";
import type { TrainingJob } from "../job.ts";
import type { Member } from "../settings.ts";
import { size } from "../member/shape.ts";
import type { Plan } from "../plan/model.ts";
import type { Network } from "./network.ts";

/** The loss at the end of a network. */
export interface Objective {
  readonly loss: Loss;
  /**
   * The same loss without class weights and label smoothing. Null for a loss whose outputs tell no
   * probabilities.
   */
  readonly logLoss: Loss | null;
}

/** The loss of a job, with the weights of classes that come from its data. */
export function lossOf({ loss, data: { classWeights, target } }: Pick<TrainingJob, "loss" | "data">): Member {
  if (classWeights === undefined) return loss;
  return { ...loss, weight: Object.fromEntries(target.classes!.map((name, at) => [name, classWeights[at]])) };
}

/** `classes`: the target's class names, for losses that name classes. */
export function bindObjective(
  kernels: Kernels,
  plan: Plan,
  network: Network,
  member: Member,
  classes: readonly string[] | null,
): Objective {
  const { targets, terms, lossConstants, logLossConstants } = plan.addresses;
  const type = losses[member.type];
  const create = (options: Member, constants: number) =>
    type.create(kernels, options, {
      prediction: network.prediction,
      gradient: network.predictionGradient,
      target: targets,
      terms,
      outputs: plan.outputs,
      positions: size(plan.prediction) / plan.outputs,
      classes,
      constants,
    });
  return {
    loss: create(member, lossConstants),
    logLoss: hasLogLoss(type) ? create(withDefaults(type), logLossConstants) : null,
  };
}
