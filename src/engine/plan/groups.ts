import { withOption } from "../optimizers/configure.ts";
import type { Member, ParameterGroup } from "../settings.ts";

/*
 * Parameter groups: parts of a model with a learning rate or weight decay of their own, or that do
 * not learn at all. A parameter belongs to the first group with a pattern that matches its name;
 * the rest belong to the optimizer itself.
 *
 * For the engine, a group that learns is one more optimizer of the same type with its own options.
 * It runs its passes over its tensors between the same meetings as the other groups. A frozen
 * parameter has a weight and nothing else: no gradient, no state, no part in any norm or sum.
 */

/**
 * Parameters that learn together: under the job's optimizer, or under the optimizer as a group
 * changes it.
 */
export interface LearningGroup {
  readonly optimizer: Member;
  readonly rateScale: number;
}

/** A spec may be older than groups. */
const NONE: readonly ParameterGroup[] = [];

/** The optimizer itself, and then the groups that learn. */
export function learningGroups(optimizer: Member, groups = NONE): LearningGroup[] {
  const learning = groups.filter(({ freeze }) => !freeze);
  return [
    { optimizer, rateScale: 1 },
    ...learning.map((group) => ({ optimizer: changed(optimizer, group), rateScale: group.lr_scale })),
  ];
}

function changed(optimizer: Member, { lr, weight_decay: decay }: ParameterGroup): Member {
  const paced = lr === null ? optimizer : withOption(optimizer, "lr", lr);
  return decay === null ? paced : withOption(paced, "weight_decay", decay);
}

/** Which of the `learningGroups` a parameter belongs to; null: it is frozen. */
export function learningGroupOf(name: string, groups = NONE): number | null {
  const first = groupOf(name, groups);
  if (first === -1) return 0;
  if (groups[first].freeze) return null;
  return 1 + groups.slice(0, first).filter(({ freeze }) => !freeze).length;
}

/**
 * Whether a layer with these buffers leaves them as they are while training: so says the first
 * group with a pattern that matches one of them.
 */
export function keepsStatistics(buffers: readonly string[], groups = NONE): boolean {
  const first = groups.find((group) => buffers.some((name) => groupOf(name, [group]) === 0));
  return first?.statistics === "eval";
}

/** A cache: the same names are looked up again and again while a spec is checked. */
const found = new WeakMap<readonly ParameterGroup[], Map<string, number>>();

/** The number of the group a parameter belongs to; -1: to none. */
export function groupOf(name: string, groups: readonly ParameterGroup[]): number {
  const known = found.get(groups) ?? new Map<string, number>();
  found.set(groups, known);
  const group =
    known.get(name) ?? groups.findIndex((each) => patternsOf(each).some((pattern) => matches(pattern, name)));
  known.set(name, group);
  return group;
}

export function patternsOf({ parameters }: ParameterGroup): readonly string[] {
  return typeof parameters === "string" ? [parameters] : parameters;
}

/** Not done by a regular expression, because some patterns would take for ever. */
export function matches(pattern: string, name: string): boolean {
  let at = 0;
  let next = 0;
  // The place of the last star, and the end of the part of the name that it matched.
  let star = -1;
  let swallowed = 0;
  while (at < name.length) {
    if (pattern[next] === "*") {
      star = next++;
      swallowed = at;
    } else if (pattern[next] === "?" || pattern[next] === name[at]) {
      next++;
      at++;
    } else {
      if (star === -1) return false;
      next = star + 1;
      at = ++swallowed;
    }
  }
  while (pattern[next] === "*") next++;
  return next === pattern.length;
}
