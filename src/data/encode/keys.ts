/*
 * The rows of a table by the values that they have in some columns. Such values together are a key.
 * The rows of a key are those that `data.where` chooses by the key's values (where.ts), and a row
 * that lacks one of the values has no key.
 *
 * Keys ascend: by the first column, then by the second and so on. Numbers and dates ascend as
 * numbers, false comes before true, and texts ascend by their bytes in UTF-8.
 *
 * Each column gives each row the rank of its value among those of the column. The ranks of two
 * columns together are one number, which is ranked again. So a row takes a few integers, whatever
 * the values are, and no row takes an object.
 */
import { NO_RANK, rankedNumbers } from "../columns/ranked-numbers.ts";
import { NO_TEXT, type CodedTexts } from "../text/coded-texts.ts";
import { ranksOf } from "../text/ranks.ts";
import { momentText, type Table, type WhereValue } from "./where.ts";

/** The values of a key by column, as `data.where` takes them. */
export type Key = Readonly<Record<string, WhereValue>>;

export interface Partition {
  readonly keys: number;
  /** How many rows lack a value, and so have no key. */
  readonly missing: number;
  key(n: number): Key;
  /** The numbers of the rows of a key, ascending. */
  rows(n: number): Uint32Array;
}

/** The rank of each row in a column, `NO_RANK` where the value is missing. */
interface Ranked {
  readonly ranks: Uint32Array;
  readonly count: number;
  readonly value: (rank: number) => WhereValue;
}

/** @param columns at least one, and none that has a `noValueFault` (where.ts) */
export async function partitionRows(file: Table, columns: readonly string[]): Promise<Partition> {
  const ranked: Ranked[] = [];
  for (const name of columns) ranked.push(await rankedColumn(file, file.index(name)));
  const { ranks, count } = ranked.reduce(together);
  const { ends, order } = sorted(ranks, count);
  const beginOf = (n: number) => (n === 0 ? 0 : ends[n - 1]);
  // A key has the values of any of its rows.
  const values = ranked.map((column) => {
    const own = new Uint32Array(count);
    for (let n = 0; n < count; n++) own[n] = column.ranks[order[beginOf(n)]];
    return own;
  });
  return {
    keys: count,
    missing: ranks.length - order.length,
    key: (n) => Object.fromEntries(columns.map((name, i) => [name, ranked[i].value(values[i][n])])),
    rows: (n) => order.subarray(beginOf(n), ends[n]),
  };
}

async function rankedColumn(file: Table, index: number): Promise<Ranked> {
  const { type } = file.content.columns[index];
  if (type === "categorical") return ofTexts(await file.codedTexts(index));
  const numbers = await file.numbers(index);
  if (type === "boolean") return ofNumbers(numbers, (truth) => truth === 1);
  return ofNumbers(numbers, type === "date" ? momentText : (number) => number);
}

function ofNumbers(numbers: Float64Array, written: (number: number) => WhereValue): Ranked {
  const { ranks, distinct } = rankedNumbers(numbers);
  return { ranks, count: distinct.length, value: (rank) => written(distinct[rank]) };
}

/** A text that no row has gets no rank. */
function ofTexts({ codes, texts }: CodedTexts): Ranked {
  const places = ranksOf(texts);
  const byPlace = new Uint32Array(texts.rows).fill(NO_TEXT);
  for (const code of codes) if (code !== NO_TEXT) byPlace[places[code]] = code;
  let count = 0;
  for (const code of byPlace) {
    if (code === NO_TEXT) continue;
    places[code] = count;
    byPlace[count++] = code;
  }
  const ranks = new Uint32Array(codes.length);
  for (let row = 0; row < ranks.length; row++) ranks[row] = codes[row] === NO_TEXT ? NO_RANK : places[codes[row]];
  return { ranks, count, value: (rank) => Buffer.from(texts.at(byPlace[rank])).toString() };
}

/** Ranks by two columns at once. Their number is exact: it is below the square of the rows. */
function together(first: Ranked, second: Ranked): Ranked {
  const pairs = new Float64Array(first.ranks.length);
  for (let row = 0; row < pairs.length; row++) {
    const [a, b] = [first.ranks[row], second.ranks[row]];
    pairs[row] = a === NO_RANK || b === NO_RANK ? Number.NaN : a * second.count + b;
  }
  return ofNumbers(pairs, Number);
}

/** The rows that have a rank, by rank, and where those of each rank end. */
function sorted(ranks: Uint32Array, count: number): { ends: Uint32Array; order: Uint32Array } {
  const ends = new Uint32Array(count);
  for (const rank of ranks) if (rank !== NO_RANK) ends[rank]++;
  let end = 0;
  for (let rank = 0; rank < count; rank++) {
    const begin = end;
    end += ends[rank];
    ends[rank] = begin;
  }
  const order = new Uint32Array(end);
  for (let row = 0; row < ranks.length; row++) if (ranks[row] !== NO_RANK) order[ends[ranks[row]]++] = row;
  return { ends, order };
}
