// Rows of choices that cover every pair: for tests of options that may go wrong together, where all
// combinations would be too many. Greedy, as AETG: each row is the best of some random candidates.

/** What there is to choose from, by factor. */
export type Factors = Readonly<Record<string, readonly string[]>>;

/** One choice for each factor. */
export type Row = Readonly<Record<string, string>>;

export interface Choice {
  readonly factor: string;
  readonly level: string;
}

/** Whether two choices cannot go together. */
export type Excluded = (a: Choice, b: Choice) => boolean;

/** Every pair of choices that can go together. */
export function pairsOf(factors: Factors, excluded: Excluded): [Choice, Choice][] {
  const names = Object.keys(factors);
  const choices = (name: string) => factors[name].map((level) => ({ factor: name, level }));
  return names.flatMap((first, i) =>
    names
      .slice(i + 1)
      .flatMap((second) => choices(first).flatMap((a) => choices(second).map((b): [Choice, Choice] => [a, b])))
      .filter(([a, b]) => !excluded(a, b) && !excluded(b, a)),
  );
}

/** Numbers from 0 to 1 that hang on the seed alone. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}

const CANDIDATES = 20;

/** Rows in which every pair that can be is found. @throws Error if a pair fits no row */
export function coveringRows(factors: Factors, excluded: Excluded, seed: number): Row[] {
  const random = randomFrom(seed);
  const open = new Map(pairsOf(factors, excluded).map(([a, b]) => [key(a, b), [a, b] as const]));
  const rows: Row[] = [];
  while (open.size > 0) {
    const pair = [...open.values()][Math.floor(random() * open.size)];
    const candidates = Array.from({ length: CANDIDATES }, () => candidate(factors, excluded, pair, open, random));
    const best = candidates.reduce((one, other) => (newPairs(other, open) > newPairs(one, open) ? other : one));
    if (best === null) throw new Error(`no row can have ${key(...pair)}`);
    for (const covered of keysOf(best)) open.delete(covered);
    rows.push(best);
  }
  return rows;
}

/** A row with a pair in it that covers as much else as it can; null if it got stuck. */
function candidate(
  factors: Factors,
  excluded: Excluded,
  pair: readonly [Choice, Choice],
  open: ReadonlyMap<string, unknown>,
  random: () => number,
): Row | null {
  const chosen = [...pair];
  const rest = shuffled(
    Object.keys(factors).filter((name) => pair.every(({ factor }) => factor !== name)),
    random,
  );
  for (const factor of rest) {
    const levels = shuffled(factors[factor], random)
      .map((level) => ({ factor, level }))
      .filter((choice) => chosen.every((other) => !excluded(choice, other) && !excluded(other, choice)))
      .map((choice) => ({ choice, gain: chosen.filter((other) => open.has(key(choice, other))).length }));
    if (levels.length === 0) return null;
    chosen.push(levels.reduce((one, other) => (other.gain > one.gain ? other : one)).choice);
  }
  return Object.fromEntries(Object.keys(factors).map((name) => [name, chosen.find((c) => c.factor === name)!.level]));
}

const newPairs = (row: Row | null, open: ReadonlyMap<string, unknown>): number =>
  row === null ? -1 : keysOf(row).filter((covered) => open.has(covered)).length;

const choicesOf = (row: Row): Choice[] => Object.entries(row).map(([factor, level]) => ({ factor, level }));

/** The pairs that a row has. */
function keysOf(row: Row): string[] {
  const choices = choicesOf(row);
  return choices.flatMap((a, i) => choices.slice(i + 1).map((b) => key(a, b)));
}

function key(a: Choice, b: Choice): string {
  const [first, second] = a.factor < b.factor ? [a, b] : [b, a];
  return `${first.factor}=${first.level} ${second.factor}=${second.level}`;
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const mixed = [...items];
  for (let i = mixed.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [mixed[i], mixed[j]] = [mixed[j], mixed[i]];
  }
  return mixed;
}
