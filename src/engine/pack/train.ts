import { collectSoon } from "../crew/garbage.ts";
import { sizeClass } from "../crew/memories.ts";
import { planFor } from "../crew/load.ts";
import type { TrainingJob } from "../job.ts";
import { createMemory, instantiateKernels, kernelModule, zeroMemory, type Kernels } from "../kernels/kernels.ts";
import { kernelsInUse, type KernelChoice } from "../kernels/native.ts";
import type { Plan } from "../plan/model.ts";
import { freshProgress } from "../state/state.ts";
import { LANES } from "./face.ts";
import { crewOfOne } from "./lane.ts";
import { Pack, packBytes } from "./pack.ts";
import { Recorder, type PackWork, type Trained } from "./recorder.ts";
import { packKey, packs } from "./shape.ts";

/*
 * Trains many jobs from their beginning on the present thread: in packs where that can be done and
 * is faster, the others one after another. Each has the bytes that it would have in a crew of its
 * own.
 */

/** A memory that is larger is not kept for the next jobs. */
const MOST_KEPT_BYTES = 2 ** 26;

/** A job to train. */
export interface PackJob {
  readonly job: TrainingJob;
  /** For one thread. */
  readonly plan: Plan;
  /** Jobs of the same plan and the same key may share a pack. Null: it is trained alone. */
  readonly key: string | null;
}

/** @throws PlanError if the job cannot be planned */
export function packJob(job: TrainingJob): PackJob {
  const plan = planFor(job, 1);
  return { job, plan, key: packs(plan, job) ? packKey(job) : null };
}

/**
 * The results, in the order of the jobs. It yields as long as `work.due` says so, and what yields
 * must be run to its end.
 */
export function* trainPack(jobs: readonly PackJob[], work: PackWork): Generator<void, Trained[]> {
  const results: Trained[] = [];
  for (const group of grouped(jobs)) {
    const [{ plan }] = group;
    const those = group.map(({ job }) => job);
    const train = group.length < lanesThatPay(plan, work.choice) ? trainAlone : trainTogether;
    const trained = yield* train(plan, those, work);
    for (const [i, { number }] of group.entries()) results[number] = trained[i];
    work.ended?.(group.length);
  }
  return results;
}

interface Numbered extends PackJob {
  readonly number: number;
}

/** The jobs, packed as far as they can be. */
function grouped(jobs: readonly PackJob[]): Numbered[][] {
  const numbered = jobs.map((job, number) => ({ ...job, number }));
  return [...grouping(numbered, ({ plan }) => plan).values()]
    .flatMap((ofPlan) => [...grouping(ofPlan, ({ key, number }) => key ?? number).values()])
    .flatMap((group) => {
      const parts = Math.ceil(group.length / LANES);
      return Array.from({ length: parts }, (_, i) => group.slice(i * LANES, (i + 1) * LANES));
    });
}

function grouping<T, K>(items: readonly T[], key: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) {
    const found = groups.get(key(item));
    if (found) found.push(item);
    else groups.set(key(item), [item]);
  }
  return groups;
}

/**
 * How many jobs take as long one after another as a pack does, however many it has: measured with
 * MLPs of 100 to 5,000 parameters. Alone, a wide layer fills the vectors by itself, and the model
 * stays in the cache.
 */
function lanesThatPay({ parameterCount }: Plan, choice: KernelChoice): number {
  return kernelsInUse(choice) === "native" ? 2 + parameterCount / 256 : 3 + parameterCount / 96;
}

/** Trains up to 16 jobs of one plan in a pack. `packs` says of each that it can be packed. */
export function* trainTogether(plan: Plan, jobs: readonly TrainingJob[], work: PackWork): Generator<void, Trained[]> {
  const kernels = takeKernels(plan.memoryBytes, packBytes(plan, jobs), work.choice);
  const pack = new Pack(kernels, plan, jobs, work);
  yield* pack.run();
  keepKernels(kernels, work.choice);
  return pack.lanes.map(({ trained }) => trained!);
}

function* trainAlone(plan: Plan, jobs: readonly TrainingJob[], work: PackWork): Generator<void, Trained[]> {
  const results: Trained[] = [];
  for (const job of jobs) {
    const kernels = takeKernels(plan.memoryBytes, plan.memoryBytes, work.choice);
    const recorder = new Recorder(job, work);
    yield* crewOfOne(kernels, plan, job, freshProgress(), recorder, { work }).run();
    keepKernels(kernels, work.choice);
    results.push(recorder.trained!);
  }
  return results;
}

let kept: { readonly kernels: Kernels; readonly choice: KernelChoice } | null = null;

/** Kernels on a memory of at least `bytes` bytes. The first `zeros` of them are as in a new one. */
function takeKernels(zeros: number, bytes: number, choice: KernelChoice): Kernels {
  const last = kept;
  kept = null;
  if (last?.choice !== choice || last.kernels.u8.length < bytes)
    return instantiateKernels(kernelModule(), createMemory(sizeClass(bytes)), choice);
  zeroMemory(last.kernels.memory, zeros);
  return last.kernels;
}

function keepKernels(kernels: Kernels, choice: KernelChoice): void {
  if (kernels.u8.length <= MOST_KEPT_BYTES) kept = { kernels, choice };
  else collectSoon();
}
