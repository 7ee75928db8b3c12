import { stepsPerEpoch, batchRows, type TrainingJob } from "../job.ts";
import type { Kernels } from "../kernels/kernels.ts";
import { seedHalves } from "../kernels/random.ts";
import type { ForwardPass } from "../layers/layer.ts";
import type { Loss } from "../losses/loss.ts";
import type { Plan } from "../plan/model.ts";
import { gradientTiles, type Tile } from "../plan/slices.ts";
import { freshProgress, type Progress } from "../state/state.ts";
import { WeightAverages } from "../step/averaging.ts";
import { Barrier } from "../step/barrier.ts";
import { Gradient } from "../step/gradient.ts";
import { Network } from "../step/network.ts";
import { bindObjective, lossOf } from "../step/objective.ts";
import { Rates } from "../step/rates.ts";
import { StepParts } from "../step/step.ts";
import { Update } from "../step/update.ts";
import { LaneBatches, laneBytes } from "./batches.ts";
import { PackEvaluation } from "./evaluation.ts";
import { lanePlace, LANES, packKernels, type LanePlace } from "./face.ts";
import { Lane } from "./lane.ts";
import type { PackWork } from "./recorder.ts";

/** The memory of a pack: that of its plan for each lane, and behind it the data of the jobs. */
export function packBytes(plan: Plan, jobs: readonly TrainingJob[]): number {
  return jobs.reduce((sum, job) => sum + laneBytes(job), plan.memoryBytes * LANES);
}

/*
 * The steps of a pack: those of step/step.ts, of up to 16 jobs at once, on one thread. Network,
 * loss, gradient and update are those of one job, on the kernels of a pack. Only what differs from
 * job to job (rows, seeds, divisors, sums of losses) is done for each.
 *
 * Lanes without a job, and those whose job has ended, compute numbers that nobody reads.
 */
export class Pack {
  readonly lanes: readonly Lane[];
  readonly #due: () => boolean;
  readonly #kernels: Kernels;
  readonly #plan: Plan;
  readonly #job: TrainingJob;
  readonly #place: LanePlace;
  readonly #network: Network;
  readonly #loss: Loss;
  readonly #gradient: Gradient;
  readonly #update: Update;
  readonly #rates: Rates;
  readonly #tiles: readonly Tile[];
  readonly #batches: readonly LaneBatches[];
  readonly #evaluation: PackEvaluation;
  /** The losses of a step. */
  readonly #losses = new Float64Array(LANES);
  readonly #pass: ForwardPass = { training: true, batch: 0, seedLow: 0, seedHigh: 0 };
  /** What all jobs have in common: the step, and the optimizer's doubles. */
  readonly #progress: Progress = freshProgress();

  /**
   * The memory of one model is all zeros. The jobs may share a pack (shape.ts). The memory has
   * `packBytes` bytes.
   */
  constructor(kernels: Kernels, plan: Plan, jobs: readonly TrainingJob[], work: PackWork) {
    const [job] = jobs;
    this.#due = work.due;
    this.#kernels = kernels;
    this.#plan = plan;
    this.#job = job;
    this.#place = lanePlace(plan);
    const face = packKernels(kernels, this.#place);
    const { control } = plan.addresses;
    const words = new Int32Array(kernels.memory.buffer, control);
    const barrier = new Barrier(kernels, words, control, 1);
    this.#network = new Network(face, plan, plan.training, barrier, 0);
    this.#loss = bindObjective(face, plan, this.#network, lossOf(job), job.data.target.classes).loss;
    this.#evaluation = new PackEvaluation(kernels, face, plan, job, this.#place, barrier);
    this.#gradient = new Gradient(face, plan, job.training, barrier, 0);
    const averages = WeightAverages.of(face, plan, job.training);
    this.#update = new Update(face, plan, this.#gradient, barrier, 0, averages);
    this.#update.attach(this.#progress);
    this.#rates = new Rates(kernels, job.schedule, plan.groups, this.#stepsPerEpoch);
    this.#tiles = gradientTiles(plan, 0);
    const shared = new StepParts(kernels, plan, job, 0);
    // Weights of classes may differ, and then the constants of the loss do.
    const isShared = jobs.every(({ data }) => data.classWeights === undefined);
    this.lanes = jobs.map((each, lane) => {
      const parts = isShared ? shared : new StepParts(kernels, plan, each, 0);
      return new Lane(kernels, plan, each, lane, { work, parts });
    });
    let data = plan.memoryBytes * LANES;
    this.#batches = jobs.map((each, lane) => {
      const inputs = { training: this.#network.values, evaluation: this.#evaluation.inputs };
      const batches = new LaneBatches(kernels, plan, each, inputs, { lane, data });
      data += laneBytes(each);
      return batches;
    });
    for (const [lane, { training }] of jobs.entries()) {
      const [low, high] = seedHalves(training.seed);
      kernels.i32[this.#place.seedsLow / 4 + lane] = low;
      kernels.i32[this.#place.seedsHigh / 4 + lane] = high;
    }
  }

  /** Trains all jobs to their ends. Yields between two steps as long as others must have a turn. */
  *run(): Generator<void, void> {
    const { training } = this.#job;
    const rows = this.#job.data.trainRows.length;
    const total = this.#stepsPerEpoch * training.epochs;
    for (let step = 0; step < total && this.lanes.some(({ trained }) => trained === null); step++) {
      while (this.#due()) yield;
      const inEpoch = step % this.#stepsPerEpoch;
      if (inEpoch === 0) for (const batches of this.#batches) batches.beginEpoch(step / this.#stepsPerEpoch);
      const begin = inEpoch * batchRows(training, rows);
      this.#step(step, begin, Math.min(rows, begin + batchRows(training, rows)));
    }
  }

  get #stepsPerEpoch(): number {
    return stepsPerEpoch(this.#job.training, this.#job.data.trainRows.length);
  }

  /** Makes a step with rows begin..end of the epoch. */
  #step(step: number, begin: number, end: number): void {
    const samples = end - begin;
    const rates = this.#rates.next(this.#progress);
    this.#gradient.begin(step);
    this.#update.begin(step + 1, rates, false);
    this.#pass.batch = step;
    for (const batches of this.#batches) batches.gather(begin, end);
    const divisor = this.#divisor(samples);
    this.#network.forward(0, samples, samples, this.#pass);
    this.#loss.run(0, samples, 1 / divisor);
    this.#network.backward(0, samples, samples, this.#pass);
    for (const tile of this.#tiles) {
      this.#network.gradient(tile.parameter, tile.begin, tile.end, samples);
      this.#gradient.tileReady(tile);
      this.#update.tileReady(tile);
    }
    this.#progress.step = step + 1;
    this.#follow(samples, rates[0].lr);
  }

  /** The divisors of the models go to their place. Returns that of all, or 1 if they differ. */
  #divisor(samples: number): number {
    const { f64, f32 } = this.#kernels;
    const { targets } = this.#plan.addresses;
    const count = samples * this.#plan.targetSize;
    const divisors = this.#place.divisors / 8;
    const common = this.#loss.divisor(targets, count, 0);
    if (!this.#loss.weighs) {
      f64.fill(common || 1, divisors, divisors + LANES);
      return common || 1;
    }
    const scales = this.#place.scales / 4;
    for (let lane = 0; lane < LANES; lane++) {
      f64[divisors + lane] ||= 1;
      f32[scales + lane] = 1 / f64[divisors + lane];
    }
    return 1;
  }

  #follow(samples: number, lr: number): void {
    const { f64, pack_sum_f32: sum } = this.#kernels;
    const { terms } = this.#plan.addresses;
    const { sums, divisors } = this.#place;
    const { lanes } = this;
    const { step } = this.#progress;
    sum(sums, terms * LANES, samples * this.#plan.termsPerSample);
    for (let lane = 0; lane < LANES; lane++) this.#losses[lane] = f64[sums / 8 + lane] / f64[divisors / 8 + lane];
    const wanted = lanes.some((lane) => lane.wantsLoss(step));
    if (wanted) this.#evaluation.run(this.#batches);
    // Written so that a step leaves no garbage.
    for (let number = 0; number < lanes.length; number++) {
      const lane = lanes[number];
      if (lane.trained !== null) continue;
      const validLoss = wanted && lane.wantsLoss(step) ? this.#evaluation.lossOf(number) : null;
      lane.follow(this.#losses[number], lr, this.#progress, validLoss);
    }
  }
}
