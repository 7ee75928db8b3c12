import { defineMetric, whyNoClass, whyNoScores } from "./metric.ts";
import type { EvaluatedRows } from "./rows.ts";

/** Adds up the weights of pairs of rows; without weights it counts them, which is exact. */
export const auc = defineMetric({
  type: "auc",
  better: "max",
  of: "class",
  ofProbabilities: true,
  meaning:
    "area under the ROC curve: of two classes that of the second; of more the mean over the classes of each against the rest; ties count half",
  whyUndefined(facts) {
    const { targets } = facts;
    const why = whyNoScores(facts) ?? whyNoClass(facts);
    return why ?? (targets && !targets.vary ? "all rows that validate are of one class" : null);
  },
  compute: areaOf,
});

/**
 * The area of the second of two classes, or the mean over the classes that are present. NaN if
 * fewer than two classes are present, or if there are no scores.
 */
function areaOf(rows: EvaluatedRows): number {
  const { classes, scores, counts } = rows;
  const perRow = scores.length / rows.weights.length;
  if (counts === null || perRow === 0) return Number.NaN;
  const { present } = counts;
  const those = Array.from(present.keys()).filter((i) => present[i] > 0);
  if (those.length < 2) return Number.NaN;
  const ranking = rankingOf(rows.weights.length);
  if (classes === 2) return areaAgainstRest(rows, ranking, 1, 0, 1);
  const areas = those.map((i) => areaAgainstRest(rows, ranking, perRow, i, i));
  return areas.reduce((sum, area) => sum + area, 0) / areas.length;
}

/**
 * Of all pairs of a row of the class and a row of the rest: the part in which the row of the class
 * has the higher score. An equal score counts half, and a pair the product of its weights.
 */
function areaAgainstRest(rows: EvaluatedRows, ranking: Ranking, perRow: number, column: number, wanted: number) {
  const { weights } = rows;
  const targets = rows.of("target");
  if (!ranking.sort(rows.scores, perRow, column)) return Number.NaN;
  const { order, keys } = ranking;
  let [own, rest, twice] = [0, 0, 0];
  for (let first = 0, end = 0; first < order.length; first = end) {
    const key = keys[order[first]];
    const below = rest;
    for (; end < order.length && keys[order[end]] === key; end++)
      if (targets[order[end]] !== wanted) rest += weights[order[end]];
    for (let i = first; i < end; i++) {
      if (targets[order[i]] !== wanted) continue;
      own += weights[order[i]];
      twice += weights[order[i]] * (below + rest);
    }
  }
  return twice / (2 * own * rest);
}

/** Fewer rows are inserted one after the other: the digits alone would take longer. */
const FEW_ROWS = 64;

const DIGIT_BITS = 8;
const DIGITS = 2 ** DIGIT_BITS;

/**
 * Sorts rows by one of their scores; equal ones stay in their order. It sorts by the bytes of
 * integers that are in the order of the scores, the lowest byte first (radix sort): for the few
 * hundred rows of most evaluations this takes a third of the time of sorting by comparisons.
 */
class Ranking {
  /** The rows in the order of their scores. */
  order: Uint32Array;
  /** For each row an integer: equal for equal scores, and higher for higher ones. */
  readonly keys: Uint32Array;
  readonly #scores: Float32Array;
  readonly #starts = new Uint32Array(DIGITS);
  #other: Uint32Array;

  constructor(rows: number) {
    this.order = new Uint32Array(rows);
    this.#other = new Uint32Array(rows);
    this.#scores = new Float32Array(rows);
    this.keys = new Uint32Array(this.#scores.buffer);
  }

  /** Sorts by column `column` of the scores, of which each row has `perRow`. False: one is NaN. */
  sort(scores: Float32Array, perRow: number, column: number): boolean {
    const { keys, order } = this;
    for (let row = 0; row < keys.length; row++) {
      // −0 becomes 0.
      const score = scores[row * perRow + column] + 0;
      if (Number.isNaN(score)) return false;
      this.#scores[row] = score;
      keys[row] ^= keys[row] >>> 31 === 0 ? 0x8000_0000 : 0xffff_ffff;
      order[row] = row;
    }
    if (order.length < FEW_ROWS) this.#insertAll();
    else for (let shift = 0; shift < 32; shift += DIGIT_BITS) this.#sortBy(shift);
    return true;
  }

  #insertAll(): void {
    const { keys, order } = this;
    for (let row = 1; row < order.length; row++) {
      let at = row;
      for (; at > 0 && keys[order[at - 1]] > keys[row]; at--) order[at] = order[at - 1];
      order[at] = row;
    }
  }

  #sortBy(shift: number): void {
    const { keys, order } = this;
    const [starts, sorted] = [this.#starts.fill(0), this.#other];
    for (let row = 0; row < keys.length; row++) starts[(keys[row] >>> shift) % DIGITS]++;
    for (let digit = 0, before = 0; digit < DIGITS; digit++) {
      const count = starts[digit];
      starts[digit] = before;
      before += count;
    }
    for (let i = 0; i < order.length; i++) sorted[starts[(keys[order[i]] >>> shift) % DIGITS]++] = order[i];
    this.order = sorted;
    this.#other = order;
  }
}

/** Larger buffers are not kept. */
const KEPT_ROWS = 2 ** 14;

let last = new Ranking(0);

/** The buffers of the last evaluation, if it had as many rows. */
function rankingOf(rows: number): Ranking {
  if (last.keys.length === rows) return last;
  const ranking = new Ranking(rows);
  if (rows <= KEPT_ROWS) last = ranking;
  return ranking;
}
