/*
 * Sorts texts by their bytes. A comparison of two texts at a time would take seconds for a million
 * of them. So the next three bytes of each text and its number make one double, and the doubles are
 * sorted by the language's own function. Texts that have the same three bytes are sorted on.
 */
import type { Texts } from "./texts.ts";

/** What a byte can be, and the end of the text before all bytes. */
const BASE = 257;
/** Three bytes and such a number fit the 53 bits of a double. */
const MAX_TEXTS = 2 ** 28;
const BYTES = 3;
/** So few are sorted by comparison. */
const FEW = 8;

/** The place of each text among all, which are different: 0 for the one that comes first. */
export function ranksOf(texts: Texts): Uint32Array<ArrayBuffer> {
  if (texts.rows > MAX_TEXTS) throw new Error(`${texts.rows} texts are too many to be sorted.`);
  const order = new Sorter(texts).sorted();
  const ranks = new Uint32Array(order.length);
  for (let rank = 0; rank < order.length; rank++) ranks[order[rank]] = rank;
  return ranks;
}

class Sorter {
  readonly #ends: Uint32Array;
  readonly #bytes: Uint8Array;
  readonly #order: Uint32Array;
  readonly #keys: Float64Array;

  constructor({ ends, content, rows }: Texts) {
    this.#ends = ends;
    this.#bytes = content;
    this.#order = new Uint32Array(rows);
    for (let code = 0; code < rows; code++) this.#order[code] = code;
    this.#keys = new Float64Array(rows);
  }

  sorted(): Uint32Array {
    // A list of what is left to sort, because texts may have many thousand bytes in common.
    const left = [{ begin: 0, end: this.#order.length, depth: 0 }];
    for (let group = left.pop(); group !== undefined; group = left.pop()) {
      const { begin, end } = group;
      if (end - begin <= FEW) {
        this.#insert(begin, end, group.depth);
        continue;
      }
      const depth = this.#commonUntil(begin, end, group.depth);
      this.#sort(begin, end, depth);
      for (let from = begin; from < end;) {
        const prefix = Math.floor(this.#keys[from] / MAX_TEXTS);
        let to = from + 1;
        while (to < end && Math.floor(this.#keys[to] / MAX_TEXTS) === prefix) to++;
        if (to - from > 1) left.push({ begin: from, end: to, depth: depth + BYTES });
        from = to;
      }
    }
    return this.#order;
  }

  #beginOf(code: number): number {
    return code === 0 ? 0 : this.#ends[code - 1];
  }

  /** How many bytes all texts of a group have in common. */
  #commonUntil(begin: number, end: number, depth: number): number {
    const bytes = this.#bytes;
    const first = this.#beginOf(this.#order[begin]);
    let common = this.#ends[this.#order[begin]] - first;
    for (let i = begin + 1; i < end && common > depth; i++) {
      const from = this.#beginOf(this.#order[i]);
      common = Math.min(common, this.#ends[this.#order[i]] - from);
      let same = depth;
      while (same < common && bytes[first + same] === bytes[from + same]) same++;
      common = same;
    }
    return common;
  }

  #sort(begin: number, end: number, depth: number): void {
    const keys = this.#keys;
    for (let i = begin; i < end; i++) {
      const code = this.#order[i];
      const last = this.#ends[code];
      let prefix = 0;
      const from = this.#beginOf(code) + depth;
      for (let at = from; at < from + BYTES; at++) prefix = BASE * prefix + (at < last ? this.#bytes[at] + 1 : 0);
      keys[i] = prefix * MAX_TEXTS + code;
    }
    keys.subarray(begin, end).sort();
    for (let i = begin; i < end; i++) this.#order[i] = keys[i] % MAX_TEXTS;
  }

  #insert(begin: number, end: number, depth: number): void {
    const order = this.#order;
    for (let i = begin + 1; i < end; i++) {
      const code = order[i];
      let at = i;
      for (; at > begin && this.#isBefore(code, order[at - 1], depth); at--) order[at] = order[at - 1];
      order[at] = code;
    }
  }

  #isBefore(code: number, other: number, depth: number): boolean {
    const bytes = this.#bytes;
    let [a, b] = [this.#beginOf(code) + depth, this.#beginOf(other) + depth];
    const [endOfA, endOfB] = [this.#ends[code], this.#ends[other]];
    while (a < endOfA && b < endOfB && bytes[a] === bytes[b]) {
      a++;
      b++;
    }
    return b < endOfB && (a >= endOfA || bytes[a] < bytes[b]);
  }
}
