/*
 * Random numbers without a generator's state: each is a pure function of (seed, purpose, stream,
 * step, index), computed by the block function Philox4x32-10 (Salmon, Moraes, Dror & Shaw,
 * "Parallel random numbers: as easy as 1, 2, 3", SC 2011). So any thread can draw any number, a
 * checkpoint has no generator state to save, and a resumed run draws the same numbers as a run
 * without interruption.
 *
 * The seed is Philox' key. Its counter of four words is (block, step, stream, purpose): a block is
 * four 32-bit words, `stream` distinguishes parameters, layers or epochs.
 * kernels/random.kernel.as.ts does the same in bulk; tests hold it to this file bit for bit.
 */

/**
 * What a number is drawn for. It keeps the uses of one seed apart. Never renumber: training results
 * depend on these numbers.
 */
export const PURPOSE = {
  initialize: 1,
  shuffle: 2,
  dropout: 3,
  split: 4,
  synthesize: 5,
  gradientNoise: 6,
  generate: 7,
  augment: 8,
  search: 9,
} as const;

/** Four unsigned 32-bit words. */
export type Words = readonly [number, number, number, number];

/** An integer up to 2^53 − 1 as two unsigned 32-bit words, low and high: Philox' key. */
export function seedHalves(seed: number): readonly [low: number, high: number] {
  return [seed >>> 0, Math.floor(seed / 2 ** 32)];
}

/** Block number `block` of a stream. */
export function randomWords(seed: number, purpose: number, stream: number, step: number, block: number): Words {
  const [low, high] = seedHalves(seed);
  return philox([block, step, stream, purpose], low, high);
}

/** Philox4x32 with ten rounds. */
export function philox(counter: Words, key0: number, key1: number): Words {
  let [c0, c1, c2, c3] = counter;
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(0xd2511f53, c0);
    const low0 = Math.imul(0xd2511f53, c0) >>> 0;
    const high1 = multiplyHigh(0xcd9e8d57, c2);
    const low1 = Math.imul(0xcd9e8d57, c2) >>> 0;
    [c0, c1, c2, c3] = [(high1 ^ c1 ^ key0) >>> 0, low1, (high0 ^ c3 ^ key1) >>> 0, low0];
    key0 = (key0 + 0x9e3779b9) >>> 0;
    key1 = (key1 + 0xbb67ae85) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/**
 * The upper half of a 64-bit product, from 16-bit parts so that every intermediate is exact in a
 * double.
 */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const middle = aHigh * (b & 0xffff) + Math.floor((aLow * (b & 0xffff)) / 65536);
  return aHigh * (b >>> 16) + Math.floor((aLow * (b >>> 16) + middle) / 65536);
}

/** A double in [0, 1) with all its 53 bits from two words. */
export function unitDouble(word0: number, word1: number): number {
  return ((word0 >>> 5) * 2 ** 26 + (word1 >>> 6)) * 2 ** -53;
}

/** A number in [0, 1) with 24 bits from one word: what a float32 can hold. */
export function unitFloat(word: number): number {
  return (word >>> 8) * 2 ** -24;
}

/** Double-precision functions whose bits do not depend on the host: the kernels'. */
interface Functions {
  log(x: number): number;
  cos(x: number): number;
}

/** Two independent standard normal numbers from two words (Box & Muller 1958). */
export function normalPair(word0: number, word1: number, { log, cos }: Functions): [number, number] {
  const radius = Math.sqrt(-2 * log((word0 + 1) * 2 ** -32));
  const turn = word1 * 2 ** -32;
  return [radius * cos(2 * Math.PI * turn), radius * cos(2 * Math.PI * (turn - 0.25))];
}

/**
 * Fisher and Yates' shuffle, in place, as the kernel `shuffle` does it: a fresh order for every
 * epoch.
 */
export function shuffle(order: Int32Array, seed: number, epoch: number, purpose: number = PURPOSE.shuffle): void {
  for (let i = order.length - 1; i > 0; i--) {
    const words = randomWords(seed, purpose, epoch, 0, i >>> 1);
    const at = (i & 1) * 2;
    // The bias of a 53-bit draw is below 2^-22 of a probability, for any number of rows.
    const j = Math.floor(unitDouble(words[at], words[at + 1]) * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
}
