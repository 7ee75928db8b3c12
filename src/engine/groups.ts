import { withOption } from "./optimizers/configure.ts";
import type { Member } from "./options.ts";

/*
 * Parameter groups: parts of a model that learn at a rate of their own, decay otherwise, or do not
 * learn at all. A parameter belongs to the first group with a pattern that matches its name; the
 * rest belong to the optimizer itself.
 *
 * To the engine a group that learns is one more optimizer of the same type, with options of its
 * own, that runs the passes of its tensors between the same meetings as the others. A frozen
 * parameter has a weight and nothing else: no gradient, no state, no part in any norm or sum.
 */

/** A group as it stands in a resolved spec. */
export interface ParameterGroup {
  /** Patterns of names: `*` stands for any characters, `?` for one. */
  readonly parameters: string | readonly string[];
  /** What the schedule starts from; null: the optimizer's. */
  readonly lr: number | null;
  /** What the schedule's rate is multiplied by at every step. */
  readonly lr_scale: number;
  /** Instead of the optimizer's; null: as the optimizer has it. */
  readonly weight_decay: number | null;
  readonly freeze: boolean;
}

/** What learns together: under the job's optimizer as it is, or as a group changes it. */
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

/** What was found, since the same is asked again and again while a spec is looked at. */
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

/** Not a regular expression's work, which for some patterns would take for ever. */
export function matches(pattern: string, name: string): boolean {
  let at = 0;
  let next = 0;
  // Where the last star stands, and up to where it has swallowed the name.
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
