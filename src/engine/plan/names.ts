import type { Member } from "../settings.ts";
import { listsOf } from "./containers.ts";
import type { PlanFault } from "./faults.ts";

/* The names of layers, which those of parameters are made of. */

/** Names in a checkpoint begin with these words if they do not belong to a layer. */
const RESERVED = new Set(["optimizer", "evaluated", "best"]);
/** Words of which paths are made that stand for no layer. */
const WORDS = new Set(["shortcut", "branches"]);

/** A layer's name: its own, or its index, as in nn.Sequential. */
export const nameOf = (member: Member, index: number): string =>
  (member.name as string | null | undefined) ?? String(index);

/** Most characters of a path. */
const MAX_PATH = 256;

export const join = (path: string, name: string): string => (path === "" ? name : `${path}.${name}`);

export function pathFault(path: string): string | null {
  if (path.length <= MAX_PATH) return null;
  return `makes a path of ${path.length} characters, which may have ${MAX_PATH}: give shorter names to it and to the containers around it`;
}

/** Most names that a message lists. */
const MAX_LISTED = 10;

/** What a message says of the names that `inputs` may have. */
export function choiceText(names: readonly string[]): string {
  const given = [...new Set(names)].filter((name) => !/^\d+$/.test(name));
  const listed = given.slice(0, MAX_LISTED).map((name) => JSON.stringify(name));
  const more = given.length > MAX_LISTED ? ` and ${given.length - MAX_LISTED} more` : "";
  return `it may be ${listed.join(", ")}${more}, or the index of an earlier layer without a name, such as "0"`;
}

/** Faults in the names of layers, in all lists of the tree. */
export function nameFaults(members: readonly Member[], pointer = "/model/layers", isTop = true): PlanFault[] {
  const names = new Map<string, number>();
  return members.flatMap((member, i) => {
    const name = nameOf(member, i);
    const at = `${pointer}/${i}`;
    const twin = names.get(name);
    names.set(name, i);
    const faults = listsOf(member).flatMap(([list, inner]) => nameFaults(inner, `${at}/${list}`, false));
    const fault = (message: string) => faults.unshift({ pointer: `${at}/name`, message });
    if (WORDS.has(name)) fault(`"${name}" is a word in the names of parameters; choose another`);
    else if (isTop && RESERVED.has(name)) fault(`"${name}" is reserved: checkpoints use it; choose another`);
    else if (twin !== undefined) fault(`"${name}" is layer ${twin}'s name too; names must differ`);
    return faults;
  });
}
