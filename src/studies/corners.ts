/*
 * A few trials that together have every value of every choice and both ends of every range. If
 * their specs have no faults, those of other trials are unlikely to have any.
 */
import { Draws } from "./draws.ts";
import { inside, place, sizeOf, type Parameter, type Placed } from "./space.ts";

/** How many trials are drawn to look for values that were not seen. */
const DRAWS = 2000;
/** A trial whose number no other has. */
const STREAM = 2 ** 31;
/** What a parameter that leads nowhere has for a value. */
const LOST = Symbol("lost");

export interface Corners {
  readonly trials: readonly Placed[];
  /** The pointers of parameters that no trial has. */
  readonly unset: readonly string[];
}

/** @param most how many trials to give at most */
export function cornersOf(spec: unknown, parameters: readonly Parameter[], most: number): Corners {
  // By pointer. The values of a choice are told apart by identity: as texts they may be long.
  const seen = new Map<string, Set<unknown>>();
  const isNew = (pointer: string, value: unknown) => {
    const among = seen.get(pointer) ?? new Set();
    seen.set(pointer, among);
    return among.size < among.add(value).size;
  };
  const trials: Placed[] = [];
  for (let i = 0; i < DRAWS && trials.length < most; i++) {
    const draws = new Draws(0, STREAM + i);
    const positions = parameters.map(({ domain }) => cornerOf(domain, draws.uniform(), i));
    const placed = place(spec, parameters, positions);
    const shown = [...Object.entries(placed.values), ...placed.lost.map((pointer) => [pointer, LOST] as const)];
    if (shown.filter(([pointer, value]) => isNew(pointer, value)).length > 0) trials.push(placed);
  }
  const known = new Set(trials.flatMap(({ values, lost }) => [...Object.keys(values), ...lost]));
  return { trials, unset: parameters.map(({ pointer }) => pointer).filter((pointer) => !known.has(pointer)) };
}

/** The first trials take the values of a choice in turn, so that few trials have them all. */
function cornerOf(domain: Parameter["domain"], drawn: number, i: number): number {
  const values = domain.kind === "choice" ? sizeOf(domain) : 2;
  const at = i < values ? i : Math.floor(drawn * values);
  if (domain.kind === "choice") return (at + 0.5) / values;
  return domain.kind === "int" ? inside(at) : at;
}
