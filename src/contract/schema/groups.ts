/**
 * Parameter groups in a spec, and what is wrong with them. Some of it shows in the groups
 * themselves, the rest once the parameters' names are known.
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
        "Which parameters, by patterns of their names (`0.weight`, `head.bias`): `*` stands for any characters, `?` for one.",
      ),
    lr: z.number().min(0).nullable().default(null).describe("What the schedule starts from; null: the optimizer's."),
    lr_scale: z.number().min(0).default(1).describe("What the schedule's rate is multiplied by at every step."),
    weight_decay: z
      .number()
      .min(0)
      .nullable()
      .default(null)
      .describe("Instead of the optimizer's weight_decay, and of those it wraps; null: as the optimizer has it."),
    freeze: z
      .boolean()
      .default(false)
      .describe("Keep the parameters as they are: no gradient, no state, no part in any norm."),
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
    "Parts of the model that learn otherwise, or not at all. A parameter belongs to the first group with a pattern that matches it; the rest learn as the optimizer says.",
  )
  .meta({ examples: [[{ parameters: "*.bias", weight_decay: 0 }]] });

/** What is wrong whatever the parameters are called. */
export function groupFaults(groups: readonly ParameterGroup[], optimizer?: Member, schedule?: Member): Fault[] {
  return groups.flatMap((group, i) => {
    const settings = Object.entries(SETTINGS).filter(([name, unset]) => group[name as Setting] !== unset);
    if (settings.length === 0 && !group.freeze)
      return [
        { pointer: `/parameter_groups/${i}`, message: "changes nothing: set lr, lr_scale, weight_decay or freeze" },
      ];
    return settings.flatMap(([name, unset]): Fault[] => {
      const why = group.freeze ? "what is frozen does not learn" : whyNot(name as Setting, optimizer, schedule);
      if (why === null) return [];
      return [{ pointer: `/parameter_groups/${i}/${name}`, message: `must be ${unset}: ${why}` }];
    });
  });
}

/** What a group may set, and what says that it does not. */
const SETTINGS = { lr: null, lr_scale: 1, weight_decay: null } as const;
type Setting = keyof typeof SETTINGS;

function whyNot(setting: Setting, optimizer: Member | undefined, schedule: Member | undefined): string | null {
  if (setting === "lr" && schedule && scheduleType(schedule).ownRates)
    return `the schedule ${schedule.type} has rates of its own, whatever lr is; lr_scale multiplies them`;
  if (!optimizer) return null;
  const { wholeModel, decays } = configure(optimizer);
  if (wholeModel)
    return `a step of ${optimizer.type} is worked out from sums over the whole model, so that a group can only be frozen`;
  return setting === "weight_decay" && !decays
    ? `${optimizer.type} in dialect ${String(optimizer.dialect)} has no weight_decay`
    : null;
}

/** What is wrong with groups of a model whose parameters have these names. */
export function membershipFaults(groups: readonly ParameterGroup[], names: readonly string[]): Fault[] {
  const unmatched = groups.map((_, i) => unmatchedPatterns(groups, i, names));
  const faults = unmatched.flat().map(({ pointer, pattern }, i) => {
    const hint = i < MAX_HINTS ? didYouMean(pattern, names) : "";
    return { pointer, message: `matches no parameter of the model, which has ${listed(names)}${hint}` };
  });
  for (const i of groups.keys()) if (unmatched[i].length === 0) faults.push(...emptinessFaults(groups, i, names));
  if (names.every((name) => learningGroupOf(name, groups) === null))
    faults.push({ pointer: "/parameter_groups", message: "freeze the whole model; leave something to learn" });
  return faults;
}

/**
 * How many patterns are compared with all names for likeness: 512 names of 64 letters take 10 ms.
 */
const MAX_HINTS = 1;

function unmatchedPatterns(groups: readonly ParameterGroup[], i: number, names: readonly string[]) {
  const pointer = `/parameter_groups/${i}/parameters`;
  const group = groups[i];
  // No pattern of this group matches a name that a later group has, or none. The others are few, or
  // were found at once: 128 patterns are compared with 512 names, which takes 20 ms, once.
  const possible = names.filter((name) => {
    const first = groupOf(name, groups);
    return first !== -1 && first <= i;
  });
  return patternsOf(group).flatMap((pattern, j) => {
    if (possible.some((name) => matches(pattern, name))) return [];
    return [{ pointer: typeof group.parameters === "string" ? pointer : `${pointer}/${j}`, pattern }];
  });
}

/** A group that matches something, all of which earlier ones have. */
function emptinessFaults(groups: readonly ParameterGroup[], i: number, names: readonly string[]): Fault[] {
  if (names.some((name) => groupOf(name, groups) === i)) return [];
  const taken = names.find((name) => groupOf(name, [groups[i]]) === 0)!;
  const message = `matches only what earlier groups have, such as ${taken} (group ${groupOf(taken, groups)}): the first group that matches counts, so put this one before`;
  return [{ pointer: `/parameter_groups/${i}/parameters`, message }];
}
