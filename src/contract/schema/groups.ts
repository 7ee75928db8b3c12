/**
 * Parameter groups in a spec, and their faults. Some faults show in the groups themselves, the rest
 * once the names of the parameters are known.
 */
import { z } from "zod";
import { groupOf, learningGroupOf, matches, patternsOf } from "../../engine/plan/groups.ts";
import { configure } from "../../engine/optimizers/configure.ts";
import type { ParameterGroup, Member } from "../../engine/settings.ts";
import { scheduleType } from "../../engine/schedules/learning-rate.ts";
import { didYouMean, listed, type Fault } from "../resolve/faults.ts";

const MAX_GROUPS = 64;
/** The limit for all groups together. */
const MAX_PATTERNS = 128;

const pattern = z.string().min(1).max(128);

const Group = z
  .strictObject({
    parameters: z
      .union([pattern, z.array(pattern).min(1).max(MAX_PATTERNS)], { error: "must be a pattern, or a list of them" })
      .describe(
        "Patterns of the names of parameters (`0.weight`, `head.bias`): `*` stands for any characters, `?` for one.",
      ),
    lr: z
      .number()
      .min(0)
      .nullable()
      .default(null)
      .describe("The rate that the schedule starts from; null: that of the optimizer."),
    lr_scale: z.number().min(0).default(1).describe("Factor of the schedule's rate at every step."),
    weight_decay: z
      .number()
      .min(0)
      .nullable()
      .default(null)
      .describe("Replaces the weight_decay of the optimizer and of those it wraps; null: keeps it."),
    freeze: z
      .boolean()
      .default(false)
      .describe("Keeps the parameters as they are: they have no gradient and no state, and are not part of any norm."),
    statistics: z
      .enum(["train", "eval"])
      .default("train")
      .describe(
        "What layers with running statistics, such as batch_norm, do while training. `train`: they use those of the batch, and move theirs. `eval`: they use theirs and leave them as they are, as those of PyTorch's `eval` do. A layer belongs to the first group with a pattern that matches one of its buffers (`1.running_mean`).",
      ),
  })
  .meta({ id: "ParameterGroup" });

export const ParameterGroups = z
  .array(Group)
  .max(MAX_GROUPS)
  .refine((groups) => groups.reduce((count, group) => count + patternsOf(group).length, 0) <= MAX_PATTERNS, {
    error: `must have at most ${MAX_PATTERNS} patterns in all`,
  })
  .default([])
  .describe(
    "Parts of the model that learn in another way, or not at all. A parameter belongs to the first group with a pattern that matches it. Parameters without a group learn as the optimizer says.",
  )
  .meta({ examples: [[{ parameters: "*.bias", weight_decay: 0 }]] });

/** The faults that do not depend on the names of the parameters. */
export function groupFaults(groups: readonly ParameterGroup[], optimizer?: Member, schedule?: Member): Fault[] {
  return groups.flatMap((group, i) => {
    const settings = Object.entries(SETTINGS).filter(([name, unset]) => group[name as Setting] !== unset);
    if (settings.length === 0 && !group.freeze && group.statistics !== "eval") {
      const message = "changes nothing: set lr, lr_scale, weight_decay, freeze or statistics";
      return [{ pointer: `/parameter_groups/${i}`, message }];
    }
    return settings.flatMap(([name, unset]): Fault[] => {
      const why = group.freeze ? "frozen parameters do not learn" : whyNot(name as Setting, optimizer, schedule);
      if (why === null) return [];
      return [{ pointer: `/parameter_groups/${i}/${name}`, message: `must be ${unset}: ${why}` }];
    });
  });
}

/** What a group may set, and the values that leave it unset. */
const SETTINGS = { lr: null, lr_scale: 1, weight_decay: null } as const;
type Setting = keyof typeof SETTINGS;

function whyNot(setting: Setting, optimizer: Member | undefined, schedule: Member | undefined): string | null {
  if (setting === "lr" && schedule && scheduleType(schedule).ownRates)
    return `the schedule ${schedule.type} has its own rates and does not use lr; lr_scale multiplies them`;
  if (!optimizer) return null;
  const { wholeModel, decays } = configure(optimizer);
  if (wholeModel)
    return `a step of ${optimizer.type} depends on sums over the whole model, so a group can only be frozen`;
  return setting === "weight_decay" && !decays
    ? `${optimizer.type} in dialect ${String(optimizer.dialect)} has no weight_decay`
    : null;
}

/** The faults of groups of a model whose parameters and buffers have these names. */
export function membershipFaults(
  groups: readonly ParameterGroup[],
  names: readonly string[],
  buffers: readonly string[],
): Fault[] {
  const all = [...names, ...buffers];
  const named = ({ statistics }: ParameterGroup) => (statistics === "eval" ? all : names);
  const unmatched = groups.map((group, i) => unmatchedPatterns(groups, i, named(group)));
  const faults = unmatched.flat().map(({ pointer, pattern }, i) => {
    const hint = i < MAX_HINTS ? didYouMean(pattern, names) : "";
    return { pointer, message: `matches no parameter of the model, which has ${listed(names)}${hint}` };
  });
  for (const [i, group] of groups.entries()) {
    if (unmatched[i].length > 0) continue;
    faults.push(...emptinessFaults(groups, i, named(group)));
    if (group.statistics !== "eval" || buffers.some((name) => groupOf(name, groups) === i)) continue;
    const message = 'must be "train": no layer of the group has running statistics';
    faults.push({ pointer: `/parameter_groups/${i}/statistics`, message });
  }
  if (names.every((name) => learningGroupOf(name, groups) === null))
    faults.push({ pointer: "/parameter_groups", message: "freeze the whole model: leave some parameters to learn" });
  return faults;
}

/** Most patterns for which a similar name is searched: 512 names of 64 letters take 10 ms. */
const MAX_HINTS = 1;

function unmatchedPatterns(groups: readonly ParameterGroup[], i: number, names: readonly string[]) {
  const pointer = `/parameter_groups/${i}/parameters`;
  const group = groups[i];
  // No pattern of this group matches a name that a later group has, or that no group has. To
  // compare 128 patterns with 512 names takes 20 ms, once.
  const possible = names.filter((name) => {
    const first = groupOf(name, groups);
    return first !== -1 && first <= i;
  });
  return patternsOf(group).flatMap((pattern, j) => {
    if (possible.some((name) => matches(pattern, name))) return [];
    return [{ pointer: typeof group.parameters === "string" ? pointer : `${pointer}/${j}`, pattern }];
  });
}

/** The fault of a group whose names all belong to earlier groups. */
function emptinessFaults(groups: readonly ParameterGroup[], i: number, names: readonly string[]): Fault[] {
  if (names.some((name) => groupOf(name, groups) === i)) return [];
  const taken = names.find((name) => groupOf(name, [groups[i]]) === 0)!;
  const message = `matches only parameters of earlier groups, such as ${taken} (group ${groupOf(taken, groups)}): the first group that matches counts, so put this group before that`;
  return [{ pointer: `/parameter_groups/${i}/parameters`, message }];
}
