import { Augmentation } from "./augment.ts";
import type { Barrier } from "./barrier.ts";
import type { Loss } from "../losses/loss.ts";
import type { Kernels } from "../kernels/kernels.ts";
import type { TrainingJob } from "../job.ts";
import { batchesPerEpoch, batchesPerStep, batchRows, stepsPerEpoch } from "../job.ts";
import type { Plan } from "../plan/model.ts";
import { size } from "../member/shape.ts";
import { lossWeightsOf, targetStep } from "../training.ts";
import { Rows } from "./rows.ts";
import { seedHalves } from "../kernels/random.ts";

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
  readonly #inputs: readonly Rows[];
  readonly #targets: Rows;
  readonly #augmentation: Augmentation | null;
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
    this.#inputs = job.data.inputs.map(({ values, shape, step }) => new Rows(values, size(shape), step));
    this.#targets = new Rows(job.data.targets, plan.targetSize, targetStep(job.data));
    const { augment = null, data, training } = job;
    this.#augmentation = augment && new Augmentation(kernels, data.inputs[0].shape, training.seed, augment);
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

  /**
   * Adds the divisor of the loss of batch `batch` of the step to `before`. The targets are copied
   * to a scratch, as many samples at a time as `bytes` hold.
   */
  addDivisor(loss: Loss, batch: number, address: number, bytes: number, before: number): number {
    const { trainRows } = this.#job.data;
    const { targetSize } = this.#plan;
    const samples = this.samplesOf(batch);
    const first = this.#firstOf(batch);
    const most = Math.max(1, Math.floor(bytes / (targetSize * 4)));
    let divisor = before;
    for (let at = 0; at < samples; at += most) {
      const count = Math.min(most, samples - at);
      for (let i = 0; i < count; i++)
        this.#targets.copy(trainRows[this.#order[first + at + i]], this.#kernels, address, i);
      divisor = loss.divisor(address, count * targetSize, divisor);
    }
    return divisor;
  }

  /**
   * Calls `visit` with the weight of each sample of batch `batch` of the step. Its targets lie at
   * `address` then.
   */
  eachWeighed(batch: number, address: number, visit: (weight: number) => void): void {
    const { trainRows } = this.#job.data;
    const weights = lossWeightsOf(this.#job.data);
    const first = this.#firstOf(batch);
    for (let i = 0; i < this.samplesOf(batch); i++) {
      const row = trainRows[this.#order[first + i]];
      this.#targets.copy(row, this.#kernels, address, 0);
      visit(weights![row]);
    }
  }

  /** The weight of a sample of the present batch. */
  weightOf(sample: number): number {
    const { trainRows } = this.#job.data;
    return lossWeightsOf(this.#job.data)![trainRows[this.#order[this.#first + sample]]];
  }

  /** Where the rows of batch `batch` of the step begin in the epoch's order. */
  #firstOf(batch: number): number {
    const { training, data } = this.#job;
    return (this.#firstBatch + batch) * batchRows(training, data.trainRows.length);
  }

  #beginEpoch(epoch: number): void {
    const first = this.#epoch === -1;
    this.#epoch = epoch;
    if (!this.#job.training.shuffle && !first) return;
    if (this.#leader) writeOrder(this.#kernels, this.#plan, this.#job, epoch);
    this.#barrier.meet();
  }

  /**
   * Copies samples begin..end of the batch to their places in the job's memory: the addresses of
   * the inputs' buffers are `inputs`.
   */
  gather(inputs: readonly number[], begin: number, end: number): void {
    const { trainRows } = this.#job.data;
    for (let i = begin; i < end; i++) {
      const row = trainRows[this.#order[this.#first + i]];
      this.copy(row, inputs, i);
      if (this.#augmentation === null) continue;
      const [{ values, width, step }] = this.#inputs;
      const address = inputs[0] + i * width * 4;
      this.#augmentation.write(values as Float32Array, row * step, row, this.#epoch, address);
    }
  }

  /** Row `row` of the data becomes sample `sample` of the inputs and of the targets. */
  copy(row: number, inputs: readonly number[], sample: number): void {
    this.#targets.copy(row, this.#kernels, this.#plan.addresses.targets, sample);
    for (let i = 0; i < this.#inputs.length; i++) this.#inputs[i].copy(row, this.#kernels, inputs[i], sample);
  }
}

/** The order of an epoch, as indexes of the rows that train, at the plan's address. */
export function writeOrder(
  { i32, shuffle }: Pick<Kernels, "i32" | "shuffle">,
  { addresses }: Plan,
  { training, data }: TrainingJob,
  epoch: number,
): Int32Array {
  const first = addresses.order / 4;
  const order = i32.subarray(first, first + data.trainRows.length);
  for (let i = 0; i < order.length; i++) order[i] = i;
  if (training.shuffle) shuffle(addresses.order, order.length, ...seedHalves(training.seed), epoch);
  return order;
}
