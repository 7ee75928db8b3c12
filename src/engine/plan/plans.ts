import { exactJson } from "../state/numbers.ts";
import { planModel, type Plan } from "./model.ts";
import type { PlanInput } from "./shapes.ts";

/*
 * The plans of the last models. Jobs of one shape come by the thousand, and each is planned when it
 * is posted and when it runs. A plan is a pure function of its input, and nobody changes it.
 */

const KEPT = 32;
/** Plans of larger models are not kept: they take much memory, and little of their job's time. */
const MAX_NODES = 64;

/** In the order of their last use. */
const kept = new Map<string, Plan>();

/** @throws PlanError as planModel */
export function planOf(input: PlanInput): Plan {
  const key = exactJson(input);
  const plan = kept.get(key) ?? planModel(input);
  if (plan.nodes.length > MAX_NODES) return plan;
  kept.delete(key);
  kept.set(key, plan);
  if (kept.size > KEPT) kept.delete(kept.keys().next().value!);
  return plan;
}
