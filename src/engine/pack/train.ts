import { CONTROL_BYTES } from "../crew/control.ts";
import { planFor } from "../crew/load.ts";
import type { TrainingJob } from "../job.ts";
import { createMemory, instantiateKernels, kernelModule, MODULE_BYTES, type Kernels } from "../kernels/kernels.ts";
import { chosenKernels, kernelsInUse, type KernelChoice } from "../kernels/native.ts";
import type { Plan } from "../plan/model.ts";
import { freshProgress } from "../state/state.ts";
import { LANES } from "./face.ts";
import { crewOfOne } from "./lane.ts";
import { Pack } from "./pack.ts";
import { Recorder, type Trained } from "./recorder.ts";
import { packKey, packs } from "./shape.ts";

/*
 * Trains many jobs from their beginning on the present thread: in packs where that can be done and
 * is faster, the others one after another. Each has the bytes that it would have in a crew of its
 * own.
 */

/** A memory that is larger is not kept for the next jobs. */
const MOST_KEPT_BYTES = 2 ** 26;

interface Planned {
  readonly job: TrainingJob;
  readonly number: number;
}

/**
 * The results, in the order of the jobs. It returns when all have ended. `choice`: no number
 * depends on it.
 * @throws PlanError if a job cannot be planned
 */
export function trainPack(jobs: readonly TrainingJob[], choice: KernelChoice = chosenKernels()): Trained[] {
  const results: Trained[] = [];
  for (const [plan, planned] of byPlan(jobs))
    for (const group of grouped(plan, planned)) {
      const those = group.map(({ job }) => job);
      const trained =
        group.length < lanesThatPay(plan, choice) ? alone(plan, those, choice) : trainTogether(plan, those, choice);
      for (const [i, { number }] of group.entries()) results[number] = trained[i];
    }
  return results;
}

function byPlan(jobs: readonly TrainingJob[]): Map<Plan, Planned[]> {
  return grouping(
    jobs.map((job, number) => ({ job, number })),
    ({ job }) => planFor(job, 1),
  );
}

/** The jobs of one plan, packed as far as they can be. */
function grouped(plan: Plan, jobs: readonly Planned[]): Planned[][] {
  const packed = grouping(jobs, ({ job, number }) => (packs(plan, job) ? packKey(job) : number));
  return [...packed.values()].flatMap((group) => {
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
export function trainTogether(plan: Plan, jobs: readonly TrainingJob[], choice: KernelChoice): Trained[] {
  const pack = new Pack(kernelsFor(plan.memoryBytes, plan.memoryBytes * LANES, choice), plan, jobs);
  pack.run();
  return pack.lanes.map(({ trained }) => trained!);
}

function alone(plan: Plan, jobs: readonly TrainingJob[], choice: KernelChoice): Trained[] {
  return jobs.map((job) => {
    const kernels = kernelsFor(plan.memoryBytes, plan.memoryBytes, choice);
    const words = new Int32Array(kernels.memory.buffer, plan.addresses.control, CONTROL_BYTES / 4);
    const recorder = new Recorder(kernels, plan, job, words);
    for (const _turn of crewOfOne(kernels, plan, job, freshProgress(), recorder).run());
    return recorder.trained!;
  });
}

let kept: { readonly kernels: Kernels; readonly choice: KernelChoice } | null = null;

/** Kernels on a memory of at least `bytes` bytes. The first `zeros` of them are as in a new one. */
function kernelsFor(zeros: number, bytes: number, choice: KernelChoice): Kernels {
  if (kept?.choice === choice && kept.kernels.u8.length >= bytes) {
    kept.kernels.u8.fill(0, MODULE_BYTES, zeros);
    return kept.kernels;
  }
  const kernels = instantiateKernels(kernelModule(), createMemory(bytes), choice);
  if (bytes <= MOST_KEPT_BYTES) kept = { kernels, choice };
  return kernels;
}
