import { SUM_BLOCK } from "../optimizers/optimizer.ts";
import { SUM_STRIDE, type Plan } from "./model.ts";
import type { PlannedParameter } from "./parameters.ts";

/*
 * Which thread does which part of the parameters. Both cuts are functions of the plan, the number
 * of threads and the thread, so threads need not ask each other. Every thread computes a number in
 * the same way, so no result depends on the cuts.
 */

/**
 * Rows begin..end of one parameter's gradient. Mostly they are small enough to be updated while
 * still in cache. Of a sparse gradient a thread has one tile.
 */
export interface Tile {
  readonly parameter: number;
  readonly begin: number;
  readonly end: number;
}

/**
 * Elements begin..end of one parameter: one block of sums, whose doubles lie at `sums`. Frozen
 * parameters take no sums.
 */
export interface Block {
  readonly parameter: number;
  readonly begin: number;
  readonly end: number;
  readonly sums: number;
}

/** Floats of a tile: 128 KiB, a part of a second-level cache. */
const TILE = 32768;

/** Fewest rows of a tile whose gradient takes so long that the cache hardly matters. */
const LONG_ROWS = 192;

/** Multiply-adds for an element of the gradient from which on it takes long. */
const LONG = 256;

/** What updating one element costs, in multiply-adds of a product. */
const UPDATE_COST = 8;

/** The gradient rows of thread `thread`, cut by cost, then into tiles. */
export function gradientTiles(plan: Plan, thread: number): readonly Tile[] {
  return once(tilesOf, plan, thread, cutTiles);
}

/** What was cut for the threads of a plan: models of one plan may come by the thousand. */
const tilesOf = new WeakMap<Plan, Map<number, readonly Tile[]>>();
const blocksOf = new WeakMap<Plan, Map<number, readonly Block[]>>();

function once<T>(
  known: WeakMap<Plan, Map<number, readonly T[]>>,
  plan: Plan,
  thread: number,
  cut: (plan: Plan, thread: number) => readonly T[],
): readonly T[] {
  const ofPlan = known.get(plan) ?? new Map<number, readonly T[]>();
  const found = ofPlan.get(thread) ?? cut(plan, thread);
  known.set(plan, ofPlan.set(thread, found));
  return found;
}

function cutTiles(plan: Plan, thread: number): Tile[] {
  const costs = plan.parameters.map((p) => rowCost(p, plan.batchRows));
  const total = plan.parameters.reduce((sum, p, i) => sum + p.shape[0] * costs[i], 0);
  const from = (total * thread) / plan.threads;
  const to = (total * (thread + 1)) / plan.threads;
  let before = 0;
  return plan.parameters.flatMap((parameter, i) => {
    if (parameter.group === null) return [];
    const unit = Math.max(rowUnit(rowLength(parameter)), parameter.unitRows);
    const rows = parameter.shape[0];
    const cut = (at: number) => Math.min(rows, Math.max(0, Math.round((at - before) / costs[i] / unit) * unit));
    const begin = cut(from);
    const end = thread === plan.threads - 1 ? rows : cut(to);
    before += rows * costs[i];
    const depth = (parameter.rowCost * plan.batchRows) / rowLength(parameter);
    const height = parameter.rows ? rows : tileRows(rowLength(parameter), depth);
    return tiles(i, begin, end, Math.max(height, parameter.unitRows));
  });
}

/** What the gradient and the update of a row take, in multiply-adds. */
function rowCost({ group, rowCost: perSample, rows, ...parameter }: PlannedParameter, samples: number): number {
  if (group === null) return 0;
  const gradient = perSample * samples;
  const length = rowLength(parameter);
  // A row that is updated only if it is used has at least `length` multiply-adds then.
  return gradient + (rows ? Math.min(length, gradient) : length) * UPDATE_COST;
}

function tiles(parameter: number, begin: number, end: number, rows: number): Tile[] {
  const list: Tile[] = [];
  for (let at = begin; at < end; at += rows) list.push({ parameter, begin: at, end: Math.min(end, at + rows) });
  return list;
}

/**
 * The blocks of thread `thread` among the parameters that learn. Each thread has the same number of
 * blocks.
 */
export function parameterBlocks(plan: Plan, thread: number): readonly Block[] {
  return once(blocksOf, plan, thread, () => blocksBetween(plan, share(plan.blocks, thread, plan.threads)));
}

/** Likewise of all weights, the frozen ones too. */
export function weightBlocks(plan: Plan, thread: number): Block[] {
  return blocksBetween(plan, share(plan.weightBlocks, thread, plan.threads));
}

function blocksBetween(plan: Plan, [from, to]: readonly [number, number]): Block[] {
  return plan.parameters.flatMap((parameter, i) => {
    const list: Block[] = [];
    for (let begin = 0; begin < parameter.length; begin += SUM_BLOCK) {
      const number = parameter.firstBlock + begin / SUM_BLOCK;
      if (number < from || number >= to) continue;
      const end = Math.min(parameter.length, begin + SUM_BLOCK);
      list.push({ parameter: i, begin, end, sums: plan.addresses.sums + number * SUM_STRIDE * 8 });
    }
    return list;
  });
}

/** Adds up sum number `index` of `count` blocks, in ascending order. */
export function sumOfBlocks(
  f64: Float64Array,
  plan: Plan,
  first: number,
  count: number,
  index: number,
  largest: boolean,
): number {
  let at = (plan.addresses.sums >>> 3) + first * SUM_STRIDE + index;
  let result = 0;
  for (let i = 0; i < count; i++, at += SUM_STRIDE) result = largest ? Math.max(result, f64[at]) : result + f64[at];
  return result;
}

/**
 * The numbers of the tensors that thread `thread` does. The costliest tensors are given out first,
 * each to the thread with the least work so far.
 */
export function ownTensors(costs: readonly number[], threads: number, thread: number): number[] {
  const work = new Float64Array(threads);
  const order = costs.map((_, i) => i).sort((a, b) => costs[b] - costs[a] || a - b);
  return order.filter((i) => {
    const idlest = work.indexOf(Math.min(...work));
    work[idlest] += costs[i];
    return idlest === thread;
  });
}

/** Part `part` of `parts` of the numbers 0..count. */
export function share(count: number, part: number, parts: number): [number, number] {
  return [Math.floor((count * part) / parts), Math.floor((count * (part + 1)) / parts)];
}

function rowLength(parameter: { length: number; shape: readonly number[] }): number {
  return parameter.length / parameter.shape[0];
}

/** The fewest rows after which an element lies on a vector again. */
function rowUnit(length: number): number {
  if (length % 4 === 0) return 1;
  return length % 2 === 0 ? 2 : 4;
}

/**
 * Rows of a tile: a multiple of 12, which suits the product's six rows and every row unit; fewer
 * only where rows are very long. Where the gradient takes long, more rows share what it reads: 48
 * of a convolution take little more than a third of the time that they take four by four, and 192
 * of a matrix that does not fit into the cache take nine tenths of the time of 48.
 */
function tileRows(length: number, depth: number): number {
  const rows = Math.floor(TILE / length);
  const fitting = rows >= 12 ? rows - (rows % 12) : 4;
  return depth >= LONG ? Math.max(fitting, LONG_ROWS) : fitting;
}
