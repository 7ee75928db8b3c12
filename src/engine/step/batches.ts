import type { Barrier } from "./barrier.ts";
import type { Kernels } from "../kernels/kernels.ts";
import type { TrainingJob } from "../job.ts";
import { batchesPerEpoch, batchesPerStep, batchRows, stepsPerEpoch } from "../job.ts";
import type { Plan } from "../plan/model.ts";
import { seedHalves } from "../kernels/random.ts";

/** Fewer floats than this are copied one by one: making a view costs more. */
const SHORT_ROW = 32;

/**
 * Which rows make the batches of a step. Copies them into the job's memory. The order of an epoch
 * is a function of (seed, epoch): the leader shuffles when an epoch begins, the others wait for it.
 */
export class Batches {
  /** Batches of the present step: more than one where gradients are accumulated. */
  count = 0;
  /** Samples in the present batch. */
  samples = 0;
  readonly #kernels: Kernels;
  readonly #plan: Plan;
  readonly #job: TrainingJob;
  readonly #barrier: Barrier;
  readonly #leader: boolean;
  readonly #order: Int32Array;
  readonly #seed: readonly [number, number];
  readonly #classTargets: boolean;
  readonly #stepsPerEpoch: number;
  #epoch = -1;
  /** The step's first batch among those of the epoch. */
  #firstBatch = 0;
  #first = 0;

  constructor(kernels: Kernels, plan: Plan, job: TrainingJob, barrier: Barrier, leader: boolean) {
    this.#kernels = kernels;
    this.#plan = plan;
    this.#job = job;
    this.#barrier = barrier;
    this.#leader = leader;
    const { trainRows } = job.data;
    this.#order = new Int32Array(kernels.memory.buffer, plan.addresses.order, trainRows.length);
    this.#seed = seedHalves(job.training.seed);
    this.#classTargets = job.data.targets instanceof Int32Array;
    this.#stepsPerEpoch = stepsPerEpoch(job.training, trainRows.length);
  }

  /** Turns to `step` (from 0). The crew meets here when a new epoch begins. */
  begin(step: number): void {
    const epoch = Math.floor(step / this.#stepsPerEpoch);
    if (epoch !== this.#epoch) this.#beginEpoch(epoch);
    const { training, data } = this.#job;
    const most = batchesPerStep(training);
    this.#firstBatch = (step % this.#stepsPerEpoch) * most;
    this.count = Math.min(most, batchesPerEpoch(training, data.trainRows.length) - this.#firstBatch);
  }

  /** Turns to batch `batch` of the step, from 0. */
  turn(batch: number): void {
    this.#first = this.#firstOf(batch);
    this.samples = this.samplesOf(batch);
  }

  /** How many samples batch `batch` of the step has. */
  samplesOf(batch: number): number {
    const { training, data } = this.#job;
    const rows = data.trainRows.length;
    return Math.min(batchRows(training, rows), rows - this.#firstOf(batch));
  }

  /** Tells the target of each sample in batch `batch` of the step, as the data has it. */
  targetsOf(batch: number): (sample: number) => number {
    const { trainRows, targets } = this.#job.data;
    const order = this.#order;
    const first = this.#firstOf(batch);
    return (sample) => targets[trainRows[order[first + sample]]];
  }

  /** Where the rows of batch `batch` of the step begin in the epoch's order. */
  #firstOf(batch: number): number {
    const { training, data } = this.#job;
    return (this.#firstBatch + batch) * batchRows(training, data.trainRows.length);
  }

  #beginEpoch(epoch: number): void {
    const { training, data } = this.#job;
    const first = this.#epoch === -1;
    this.#epoch = epoch;
    if (!training.shuffle && !first) return;
    if (this.#leader) {
      for (let i = 0; i < this.#order.length; i++) this.#order[i] = i;
      if (training.shuffle)
        this.#kernels.shuffle(this.#plan.addresses.order, data.trainRows.length, this.#seed[0], this.#seed[1], epoch);
    }
    this.#barrier.meet();
  }

  /** Copies samples begin..end of the batch to their places in the job's memory. */
  gather(begin: number, end: number): void {
    const { trainRows } = this.#job.data;
    for (let i = begin; i < end; i++) this.copy(trainRows[this.#order[this.#first + i]], i);
  }

  /** Row `row` of the data becomes sample `sample` of the input and of the targets. */
  copy(row: number, sample: number): void {
    this.#copyTarget(row, sample);
    const { features, width } = this.#job.data;
    const { f32 } = this.#kernels;
    const from = row * width;
    const to = (this.#plan.layers[0].input >>> 2) + sample * width;
    if (width < SHORT_ROW) for (let i = 0; i < width; i++) f32[to + i] = features[from + i];
    else f32.set(features.subarray(from, from + width), to);
  }

  #copyTarget(row: number, sample: number): void {
    const at = (this.#plan.addresses.targets >>> 2) + sample;
    if (this.#classTargets) this.#kernels.i32[at] = this.#job.data.targets[row];
    else this.#kernels.f32[at] = this.#job.data.targets[row];
  }
}
