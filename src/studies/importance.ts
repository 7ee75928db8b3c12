/*
 * How much each parameter matters: Kruskal and Wallis' effect size. Trials are ranked by their
 * objective, so that one that diverged is the worst and not infinitely bad, and are put in groups
 * by the value of the parameter. Epsilon squared is the share of the ranks' variance that lies
 * between the groups, corrected for what chance alone would give. The shares are then divided by
 * their sum.
 *
 * It is the effect of each parameter alone. Parameters that matter only together look unimportant.
 */
import { ranked } from "./ranking.ts";
import { positionOf, type Parameter } from "./space.ts";
import type { EndedTrial, Study } from "./study.ts";

/** Least trials in a group of a numeric parameter, and most groups. */
const GROUP = 5;
const MOST_GROUPS = 10;

/** The importance of each parameter; they add up to 1, unless all are 0. */
export function importances({ direction, parameters }: Study, trials: readonly EndedTrial[]): number[] {
  const kept = trials.filter(({ status }) => status !== "cancelled");
  const ranks: number[] = [];
  ranked(direction, kept).forEach((at, rank) => (ranks[at] = rank));
  const effects = parameters.map((parameter) => effectOf(parameter, kept, ranks));
  const sum = effects.reduce((a, b) => a + b, 0);
  return effects.map((effect) => (sum > 0 ? effect / sum : 0));
}

/** Epsilon squared of the trials that have the parameter, times their share of all. */
function effectOf({ pointer, domain }: Parameter, trials: readonly EndedTrial[], ranks: readonly number[]): number {
  const having = trials.flatMap(({ values }, i) =>
    Object.hasOwn(values, pointer) ? [{ position: positionOf(domain, values[pointer]), rank: ranks[i] }] : [],
  );
  const groups = domain.kind === "choice" ? byValue(having) : byOrder(having);
  const n = having.length;
  if (groups.length < 2 || n <= groups.length) return 0;
  const mean = meanOf(having);
  const total = having.reduce((sum, { rank }) => sum + (rank - mean) * (rank - mean), 0);
  const between = groups.reduce(
    (sum, group) => sum + group.length * (meanOf(group) - mean) * (meanOf(group) - mean),
    0,
  );
  const within = (total - between) / (n - groups.length);
  const effect = (between - (groups.length - 1) * within) / total;
  return (Math.max(0, effect) * n) / trials.length;
}

interface Ranked {
  readonly position: number;
  readonly rank: number;
}

function byValue(trials: readonly Ranked[]): Ranked[][] {
  return [...Map.groupBy(trials, ({ position }) => position).values()];
}

/** Groups of the same size, in the order of the values. */
function byOrder(trials: readonly Ranked[]): Ranked[][] {
  const count = Math.min(MOST_GROUPS, Math.floor(trials.length / GROUP));
  const sorted = [...trials].sort((a, b) => a.position - b.position);
  return Array.from({ length: count }, (_, i) =>
    sorted.slice(Math.floor((i * sorted.length) / count), Math.floor(((i + 1) * sorted.length) / count)),
  );
}

function meanOf(trials: readonly Ranked[]): number {
  return trials.reduce((sum, { rank }) => sum + rank, 0) / trials.length;
}
