/** What a crew begins with: the plan of its job, and the content of its memory. */
import type { TrainingJob } from "../job.ts";
import { planInputOf } from "../plan/input.ts";
import type { Plan } from "../plan/model.ts";
import { planOf } from "../plan/plans.ts";
import { freshProgress, isWeight, stateEntries, type Progress } from "../state/state.ts";
import { loadState, loadWeights } from "../state/state-worker.ts";

/** The files that it begins with, as the crew's options explain them. */
interface Beginning {
  readonly state: Uint8Array | null;
  readonly weights?: Uint8Array | null;
}

export interface Loaded {
  readonly progress: Progress;
  /** The names of the weights that the threads draw. */
  readonly drawn: readonly string[];
}

/** What a run begins with, in its memory. */
export async function load(
  plan: Plan,
  memory: WebAssembly.Memory,
  { state, weights = null }: Beginning,
): Promise<Loaded> {
  const entries = stateEntries(plan);
  if (state !== null) return { progress: await loadState(state, memory, entries), drawn: [] };
  const own = entries.filter(({ name }) => isWeight(name));
  const drawn = weights === null ? own.map(({ name }) => name) : await loadWeights(weights, memory, own);
  return { progress: freshProgress(), drawn };
}

export function planFor(job: TrainingJob, threads: number): Plan {
  const { inputs, target, targetShape, trainRows, validRows, testRows } = job.data;
  const data = {
    inputs: inputs.map(({ values: _values, step: _step, ...input }) => input),
    target: { classes: target.classes?.length ?? null, shape: targetShape },
    trainRows: trainRows.length,
    evaluatedRows: Math.max(validRows.length, testRows.length),
  };
  return planOf(planInputOf(job, data, threads));
}
