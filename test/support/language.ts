/**
 * A text of sentences that a grammar makes: subjects and verbs agree, and a bracket that opens is
 * closed. So what follows depends on more than the character before it.
 */
export function sentences(characters: number, seed = 1): string {
  let state = seed;
  const pick = <T>(of: readonly T[]): T => of[(state = (state * 48_271) % 2_147_483_647) % of.length];
  const nouns = ["cat", "dog", "bird", "king", "teacher", "river"];
  const verbs = ["sleep", "walk", "sing", "wait"];
  const clause = (depth: number): string => {
    const isPlural = pick([true, false]);
    const noun = `${isPlural ? pick(["two", "many", "these"]) : pick(["a", "the", "this"])} ${pick(nouns)}${isPlural ? "s" : ""}`;
    const inner = depth < 2 && pick([true, false, false]) ? ` (${clause(depth + 1)})` : "";
    return `${noun}${inner} ${pick(verbs)}${isPlural ? "" : "s"}`;
  };
  let text = "";
  while (text.length < characters) text += `${clause(0)}.${pick([" ", " ", "\n"])}`;
  return text.slice(0, characters);
}

/** The mean nats of a character under counts of pairs of characters, with one added to each. */
export function bigramLoss(training: string, held: string): number {
  const characters = [...new Set(training)];
  const pairs = new Map<string, number>();
  const firsts = new Map<string, number>();
  for (let i = 1; i < training.length; i++) {
    const pair = training.slice(i - 1, i + 1);
    pairs.set(pair, (pairs.get(pair) ?? 0) + 1);
    firsts.set(pair[0], (firsts.get(pair[0]) ?? 0) + 1);
  }
  let sum = 0;
  for (let i = 1; i < held.length; i++) {
    const count = (pairs.get(held.slice(i - 1, i + 1)) ?? 0) + 1;
    sum -= Math.log(count / ((firsts.get(held[i - 1]) ?? 0) + characters.length));
  }
  return sum / (held.length - 1);
}
