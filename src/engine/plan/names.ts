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
