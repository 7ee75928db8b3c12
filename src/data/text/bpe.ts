/*
 * Byte-pair encoding: a text is a sequence of bytes, and the pair of neighbours that is most
 * frequent becomes a token of its own, again and again. (Sennrich et al. 2016,
 * https://arxiv.org/abs/1508.07909; with bytes as in GPT-2.)
 *
 * Pairs do not go beyond a word. A word is a run of letters, of digits, or of other signs, with the
 * space before it, or a run of spaces; a longer one than `MAX_WORD_BYTES` counts as several. Of two
 * pairs that are equally frequent, the one of the smaller tokens goes first. So the merges follow
 * from the text alone.
 *
 * A word does not go beyond a text either, where there are several.
 *
 * Cost: each merge visits the words that have the pair. All merges together join no more pieces
 * than the texts have bytes. So the time grows with them, and only the first `MAX_TRAINING_BYTES`
 * count.
 */

/** Two tokens that become one. */
export type Merge = readonly number[];

const BYTES = 256;
const MAX_WORD_BYTES = 48;
/** Rarer pairs become no token. */
const LEAST_COUNT = 2;
export const MAX_TRAINING_BYTES = 2 ** 21;
/** Words whose tokens are remembered. */
const MAX_REMEMBERED = 2 ** 17;
/** A pair is one number: the first token × this + the second. */
const SHIFT = 2 ** 20;

/** What a byte belongs to. Letters beyond ASCII have bytes from 128 on. */
const SPACE = 0;
const LETTER = 1;
const DIGIT = 2;
const SIGN = 3;
const kinds = Uint8Array.from({ length: BYTES }, (_, byte) => {
  if (byte >= 128 || /[A-Za-z]/.test(String.fromCharCode(byte))) return LETTER;
  if (/[0-9]/.test(String.fromCharCode(byte))) return DIGIT;
  return /\s/.test(String.fromCharCode(byte)) ? SPACE : SIGN;
});
const BLANK = 32;

/** Calls `take` with the beginning and the end of each word. */
function eachWord(text: Uint8Array, take: (begin: number, end: number) => void): void {
  for (let begin = 0; begin < text.length;) {
    let end = begin + 1;
    // A single space belongs to the word after it.
    const joins = text[begin] === BLANK && end < text.length && kinds[text[end]] !== SPACE;
    const kind = kinds[text[joins ? end : begin]];
    while (end < text.length && end - begin < MAX_WORD_BYTES && kinds[text[end]] === kind) end++;
    // Of several spaces the last one belongs to the word after them.
    const leaves = kind === SPACE && end - begin > 1 && text[end - 1] === BLANK && end < text.length;
    if (leaves && kinds[text[end]] !== SPACE) end--;
    take(begin, end);
    begin = end;
  }
}

function keyOf(text: Uint8Array, begin: number, end: number): string {
  return Buffer.from(text.buffer, text.byteOffset + begin, end - begin).toString("latin1");
}

interface Word {
  tokens: readonly number[];
  readonly count: number;
}

/** At most `most` merges. There are fewer if no pair is left that occurs twice. */
export function fitMerges(texts: Iterable<Uint8Array>, most: number): Merge[] {
  const pairs = new Pairs(wordsOf(texts));
  const merges: Merge[] = [];
  while (merges.length < most) {
    const best = pairs.best();
    if (best === null) break;
    pairs.merge(best, BYTES + merges.length);
    merges.push([Math.floor(best / SHIFT), best % SHIFT]);
  }
  return merges;
}

function wordsOf(texts: Iterable<Uint8Array>): Word[] {
  const counts = new Map<string, number>();
  let left = MAX_TRAINING_BYTES;
  for (const text of texts) {
    const part = text.subarray(0, left);
    eachWord(part, (begin, end) => {
      const key = keyOf(part, begin, end);
      counts.set(key, (counts.get(key) ?? 0) + 1);
    });
    left -= part.length;
    if (left === 0) break;
  }
  return Array.from(counts, ([key, count]) => ({ tokens: [...Buffer.from(key, "latin1")], count }));
}

/** How often each pair of neighbours occurs, and in which words. */
class Pairs {
  readonly #words: readonly Word[];
  readonly #counts = new Map<number, number>();
  /** Also words that had the pair, and lost it. */
  readonly #places = new Map<number, Set<number>>();
  /** Pairs with a count that they had at some time, the best one first. */
  readonly #heap: { pair: number; count: number }[] = [];

  constructor(words: readonly Word[]) {
    this.#words = words;
    for (const [number, { tokens, count }] of words.entries())
      for (const pair of pairsOf(tokens)) this.#change(pair, count, number);
    for (const [pair, count] of this.#counts) this.#push(pair, count);
  }

  /** The pair that is most frequent; null if none occurs often enough. */
  best(): number | null {
    for (let top = this.#pop(); top !== null; top = this.#pop()) {
      // Its count has changed since, and it is in the heap with the new one too.
      if (this.#counts.get(top.pair) === top.count) return top.count >= LEAST_COUNT ? top.pair : null;
    }
    return null;
  }

  /** Makes one token of each occurrence of the pair. */
  merge(pair: number, token: number): void {
    const changed = new Set<number>();
    const change = (one: number, by: number, number: number) => {
      this.#change(one, by, number);
      changed.add(one);
    };
    for (const number of this.#places.get(pair)!) {
      const { tokens, count } = this.#words[number];
      const result: number[] = [];
      for (let i = 0; i < tokens.length; i++) {
        if (i + 1 === tokens.length || tokens[i] * SHIFT + tokens[i + 1] !== pair) {
          result.push(tokens[i]);
          continue;
        }
        // Its neighbours have another pair now.
        const [left, right] = [result.at(-1), tokens[i + 2]];
        if (left !== undefined) {
          change(left * SHIFT + tokens[i], -count, number);
          change(left * SHIFT + token, count, number);
        }
        if (right !== undefined) {
          change(tokens[i + 1] * SHIFT + right, -count, number);
          change(token * SHIFT + right, count, number);
        }
        result.push(token);
        i++;
      }
      this.#words[number].tokens = result;
    }
    this.#counts.delete(pair);
    this.#places.delete(pair);
    for (const one of changed) {
      const count = this.#counts.get(one);
      if (count !== undefined && one !== pair) this.#push(one, count);
    }
  }

  #change(pair: number, by: number, number: number): void {
    this.#counts.set(pair, (this.#counts.get(pair) ?? 0) + by);
    if (by < 0) return;
    const places = this.#places.get(pair);
    if (places === undefined) this.#places.set(pair, new Set([number]));
    else places.add(number);
  }

  #push(pair: number, count: number): void {
    const heap = this.#heap;
    let at = heap.push({ pair, count }) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(heap[at], heap[parent])) break;
      [heap[at], heap[parent]] = [heap[parent], heap[at]];
      at = parent;
    }
  }

  #pop(): { pair: number; count: number } | null {
    const heap = this.#heap;
    const [top] = heap;
    const last = heap.pop();
    if (last === undefined) return null;
    if (heap.length === 0) return top;
    heap[0] = last;
    for (let at = 0; ;) {
      const [left, right] = [2 * at + 1, 2 * at + 2];
      let first = at;
      if (left < heap.length && isBefore(heap[left], heap[first])) first = left;
      if (right < heap.length && isBefore(heap[right], heap[first])) first = right;
      if (first === at) return top;
      [heap[at], heap[first]] = [heap[first], heap[at]];
      at = first;
    }
  }
}

function isBefore(a: { pair: number; count: number }, b: { pair: number; count: number }): boolean {
  return a.count > b.count || (a.count === b.count && a.pair < b.pair);
}

function pairsOf(tokens: readonly number[]): number[] {
  const pairs: number[] = [];
  for (let i = 1; i < tokens.length; i++) pairs.push(tokens[i - 1] * SHIFT + tokens[i]);
  return pairs;
}

function merged(tokens: readonly number[], pair: number, token: number): number[] {
  const result: number[] = [];
  for (let i = 0; i < tokens.length; i++) {
    const isPair = i + 1 < tokens.length && tokens[i] * SHIFT + tokens[i + 1] === pair;
    result.push(isPair ? token : tokens[i]);
    if (isPair) i++;
  }
  return result;
}

/** The pieces that merges make of a text. */
export class Pieces {
  readonly #merges: readonly Merge[];
  /** The token that each pair becomes. */
  readonly #tokens: ReadonlyMap<number, number>;
  readonly #remembered = new Map<string, readonly number[]>();

  constructor(merges: readonly Merge[]) {
    this.#merges = merges;
    this.#tokens = new Map(merges.map(([first, second], i) => [first * SHIFT + second, BYTES + i]));
  }

  encode(text: Uint8Array, take: (token: number) => void): void {
    eachWord(text, (begin, end) => {
      for (const token of this.#word(keyOf(text, begin, end))) take(token);
    });
  }

  #word(key: string): readonly number[] {
    const known = this.#remembered.get(key);
    if (known !== undefined) return known;
    let tokens: number[] = [...Buffer.from(key, "latin1")];
    // The merge that was found first is made first.
    for (;;) {
      const next = pairsOf(tokens).reduce((best, pair) => Math.min(best, this.#tokens.get(pair) ?? Infinity), Infinity);
      if (next === Infinity) break;
      const [first, second] = this.#merges[next - BYTES];
      tokens = merged(tokens, first * SHIFT + second, next);
    }
    if (this.#remembered.size === MAX_REMEMBERED) this.#remembered.clear();
    this.#remembered.set(key, tokens);
    return tokens;
  }

  bytesOf(token: number): Uint8Array {
    if (token < BYTES) return Uint8Array.of(token);
    const [first, second] = this.#merges[token - BYTES];
    return Buffer.concat([this.bytesOf(first), this.bytesOf(second)]);
  }
}
