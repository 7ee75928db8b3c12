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

export interface Corners {
  readonly trials: readonly Placed[];
  /** The pointers of parameters that no trial has. */
  readonly unset: readonly string[];
}

/** @param most how many trials to give at most */
export function cornersOf(spec: unknown, parameters: readonly Parameter[], most: number): Corners {
  const seen = new Set<string>();
  const trials: Placed[] = [];
  for (let i = 0; i < DRAWS && trials.length < most; i++) {
    const draws = new Draws(0, STREAM + i);
    const positions = parameters.map(({ domain }) => cornerOf(domain, draws.uniform(), i));
    const placed = place(spec, parameters, positions);
    const shown = [
      ...Object.entries(placed.values).map(([pointer, value]) => pointer + JSON.stringify(value)),
      ...placed.lost,
    ];
    if (shown.every((each) => seen.has(each))) continue;
    for (const each of shown) seen.add(each);
    trials.push(placed);
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
