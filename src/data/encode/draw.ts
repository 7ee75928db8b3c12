/** Rows that a rule draws at random: a share of them, or one of several folds. */
import { PURPOSE, shuffle } from "../../engine/kernels/random.ts";
import type { Fold, Folds } from "./encoding.ts";

/** The rows in the order of a shuffle that depends on the seed alone. */
function shuffled(count: number, seed: number): Int32Array {
  const order = new Int32Array(count);
  // This is a loop, because `from` with a function takes many times as long.
  for (let at = 0; at < count; at++) order[at] = at;
  shuffle(order, seed, 0, PURPOSE.split);
  return order;
}

/**
 * Draws round(rows × fraction) rows: the first ones of a shuffle. They are given in ascending
 * order.
 */
export function drawRows(rows: number, fraction: number, seed: number): Int32Array {
  return shuffled(rows, seed)
    .subarray(0, Math.round(rows * fraction))
    .toSorted();
}

/**
 * Draws round(rows × fraction) rows. Each class gives its share: its rows × fraction, rounded down.
 * The rows that are then missing come from the classes with the largest remainders, one row from
 * each; of equal remainders the first class gives one. Rows without a class count as a class of
 * their own, the last one.
 */
export function drawStratified(
  classes: ArrayLike<number>,
  rows: Int32Array,
  { fraction, seed }: { fraction: number; seed: number },
): Int32Array {
  const sizes = new Map<number, number>();
  for (const row of rows) sizes.set(classes[row], (sizes.get(classes[row]) ?? 0) + 1);
  const shares = [...sizes].map(([label, size]) => ({ label, exact: size * fraction }));
  // NaN, for a missing number, is sorted behind all others. A missing code is the largest anyway.
  shares.sort((a, b) => remainder(b.exact) - remainder(a.exact) || labelOf(a.label) - labelOf(b.label));
  let missing = Math.round(rows.length * fraction) - shares.reduce((sum, { exact }) => sum + Math.floor(exact), 0);
  const left = new Map(shares.map(({ label, exact }) => [label, Math.floor(exact) + (missing-- > 0 ? 1 : 0)]));
  const drawn = shuffled(rows.length, seed).filter((at) => {
    const label = classes[rows[at]];
    left.set(label, left.get(label)! - 1);
    return left.get(label)! >= 0;
  });
  return drawn.sort();
}

function remainder(exact: number): number {
  return exact - Math.floor(exact);
}

function labelOf(label: number): number {
  return Number.isNaN(label) ? Number.MAX_VALUE : label;
}

/**
 * Draws whole groups. It shuffles the groups, which are in ascending order of their values, and
 * takes the first ones: as many as bring the number of rows nearest to rows × fraction. If two
 * numbers are equally near, it takes the smaller one. At least one group is taken, and one is left
 * if there are two.
 */
export function drawGroups(
  values: ArrayLike<number>,
  rows: Int32Array,
  { fraction, seed }: { fraction: number; seed: number },
): Int32Array {
  const sizes = new Map<number, number>();
  for (const row of rows) sizes.set(values[row], (sizes.get(values[row]) ?? 0) + 1);
  const groups = Float64Array.from(sizes.keys()).sort();
  const wanted = rows.length * fraction;
  const taken = new Set<number>();
  let count = 0;
  for (const at of shuffled(groups.length, seed)) {
    const more = count + sizes.get(groups[at])!;
    const nearer = Math.abs(more - wanted) < Math.abs(count - wanted);
    if (taken.size > 0 && (!nearer || taken.size === groups.length - 1)) break;
    taken.add(groups[at]);
    count = more;
  }
  return rows.filter((row) => taken.has(values[row]));
}

/** The fold that a rule names. */
export function foldOf(rule: Folds & { readonly fold?: number }): Fold {
  if (rule.fold === undefined) throw new Error("The rule of a set of models names no fold.");
  return { ...rule, fold: rule.fold };
}

/** How many rows a fold has: the first ones have one more if they cannot all have the same. */
export function foldSize(rows: number, { folds, fold }: Pick<Fold, "folds" | "fold">): number {
  return Math.floor(rows / folds) + (fold < rows % folds ? 1 : 0);
}

/** The places of a fold's rows, ascending: a shuffle is cut into folds. */
export function inFold(rows: number, rule: Fold): Int32Array {
  const before = (fold: number) => foldSize(rows, { ...rule, fold });
  const begin = Array.from({ length: rule.fold }, (_, fold) => before(fold)).reduce((sum, size) => sum + size, 0);
  return shuffled(rows, rule.seed)
    .slice(begin, begin + foldSize(rows, rule))
    .sort();
}

/**
 * The rows of a fold, ascending. A shuffle is sorted by class, and its rows are dealt out to the
 * folds like cards, so each has its share of each class. Rows without a class come last.
 */
export function stratifiedInFold(classes: ArrayLike<number>, rows: Int32Array, rule: Fold): Int32Array {
  const order = shuffled(rows.length, rule.seed);
  const places = new Map(Array.from(order, (at, place) => [at, place]));
  const dealt = order.toSorted(
    (a, b) => labelOf(classes[rows[a]]) - labelOf(classes[rows[b]]) || places.get(a)! - places.get(b)!,
  );
  return dealt
    .filter((_, place) => place % rule.folds === rule.fold)
    .map((at) => rows[at])
    .sort();
}

/**
 * The rows of a fold, ascending. Groups stay together: the largest goes first, and each goes to the
 * fold with the fewest rows so far. Groups of one size go in the order of a shuffle.
 */
export function groupsInFold(values: ArrayLike<number>, rows: Int32Array, { folds, fold, seed }: Fold): Int32Array {
  const sizes = new Map<number, number>();
  for (const row of rows) sizes.set(values[row], (sizes.get(values[row]) ?? 0) + 1);
  const groups = Float64Array.from(sizes.keys()).sort();
  const order = Array.from(shuffled(groups.length, seed), (at) => groups[at]);
  const counts = new Float64Array(folds);
  const mine = new Set<number>();
  for (const group of order.sort((a, b) => sizes.get(b)! - sizes.get(a)!)) {
    const least = counts.indexOf(Math.min(...counts));
    counts[least] += sizes.get(group)!;
    if (least === fold) mine.add(group);
  }
  return rows.filter((row) => mine.has(values[row]));
}
