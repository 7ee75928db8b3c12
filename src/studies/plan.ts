/** What the next trial of a study is, and when it may start. */
import { Draws } from "./draws.ts";
import { pruners } from "./pruners/registry.generated.ts";
import { samplers } from "./samplers/registry.generated.ts";
import { place, withValues, type Placed } from "./space.ts";
import type { EndedTrial, Rung, Study } from "./study.ts";

export interface PlannedTrial extends Placed {
  readonly rungs: readonly Rung[];
  /** The trial that it goes on from; null if it begins anew. */
  readonly from: number | null;
}

/**
 * How many of the first trials must have ended before a trial may start. Exactly these decide what
 * it is: those up to `parallel` before it, and those of all rounds before its own.
 */
export function neededBy(study: Study, number: number): number {
  const round = roundOf(study);
  const behind = Math.max(0, number - study.parallel + 1);
  return round === 1 ? behind : Math.max(behind, number - (number % round));
}

function roundOf(study: Study): number {
  return samplers[study.sampler.type].round?.(study.sampler, study) ?? 1;
}

/** How many trials there may be, if a job that goes on from others has so many epochs at most. */
export function mostOf(study: Study, mostEpochs: number): number {
  return forks(study) ? Math.floor(mostEpochs / study.epochs) * roundOf(study) : Infinity;
}

/** Whether trials go on from others. */
export function forks({ sampler }: Pick<Study, "sampler">): boolean {
  return samplers[sampler.type].origin !== undefined;
}

/** What the first trials teach is learned now, and not by the next plan. */
export function learn(study: Study, ended: readonly EndedTrial[]): void {
  samplers[study.sampler.type].learn?.(study, ended);
  pruners[study.pruner.type].learn?.(study, ended);
}

/** The most characters of a number, and of a rung with two, as JSON. */
const NUMBER_TEXT = 25;
const RUNG_TEXT = 2 * NUMBER_TEXT + 20;

/** The most bytes that the values of a trial have as JSON, with its thresholds and its rungs. */
export function trialTextOf(study: Study): number {
  const values = study.parameters.map(({ pointer, domain }) => {
    const texts = domain.kind === "choice" ? domain.values.map(bytesOf) : [NUMBER_TEXT];
    return bytesOf(pointer) + 2 + texts.reduce((a, b) => Math.max(a, b));
  });
  // The first trial has as many rungs as any.
  const rungs = pruners[study.pruner.type].rungs(study.pruner, study, 0, []).length;
  return values.reduce((a, b) => a + b, 0) + 2 * rungs * RUNG_TEXT;
}

function bytesOf(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value));
}

/**
 * @param ended the first trials, at least those that it needs; the others are not looked at
 * @param values of the trials before it
 */
export function planTrial(
  study: Study,
  number: number,
  ended: readonly EndedTrial[],
  values: readonly EndedTrial["values"][],
): PlannedTrial {
  const needed = neededBy(study, number);
  if (ended.length < needed) throw new Error(`trial ${number} needs ${needed} ended trials, not ${ended.length}`);
  const first = ended.slice(0, needed);
  const started = values.slice(needed, number);
  const soFar = () => ({ study, number, ended: first, started, draws: new Draws(study.seed, number) });
  const sampler = samplers[study.sampler.type];
  const { from, keepsValues } = sampler.origin?.(study.sampler, soFar()) ?? { from: null, keepsValues: false };
  const rungs = pruners[study.pruner.type].rungs(study.pruner, study, number, first);
  if (keepsValues) return { ...withSame(study, first[from!].values), rungs, from };
  return { ...place(study.spec, study.parameters, sampler.sample(study.sampler, soFar())), rungs, from };
}

function withSame({ spec, parameters }: Study, kept: EndedTrial["values"]): Placed {
  return { spec: withValues(spec, parameters, kept), values: { ...kept }, lost: [] };
}
