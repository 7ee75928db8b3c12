import { Barrier } from "./barrier.ts";
import { Batches, halves } from "./batches.ts";
import { ACTION, DOUBLE, LOG_ENTRIES, REQUEST, WORD } from "./control.ts";
import { stepsPerEpoch, type TrainingJob } from "./job.ts";
import type { Kernels } from "./kernels/kernels.ts";
import type { ForwardPass } from "./layers/layer.ts";
import type { Plan } from "./model.ts";
import { Network } from "./network.ts";
import { configure } from "./optimizers/configure.ts";
import { learningRate } from "./schedules/learning-rate.ts";
import { gradientTiles, share, type Tile } from "./slices.ts";
import type { Progress } from "./state.ts";
import { Update } from "./update.ts";

/*
 * One training step, as every thread of a crew runs it.
 *
 *   by samples      gather my slab of the batch, forward, loss, backward down to each layer's input gradient
 *   ── meet ──
 *   by parameters   the gradients of my rows over the whole batch, and the update of each tile while it is in cache
 *   (── meet ──     and the optimizer's passes, only if something needs the whole gradient; a search evaluates again, as above)
 *                   the leader logs, and decides what all do at the step's end
 *   ── meet ──
 *
 * Everything a thread needs to know is in the memory or computed alike by all; the only words that pass between threads are the barrier's and
 * the leader's ACTION.
 */
export class TrainingStep {
  readonly barrier: Barrier;
  readonly batches: Batches;
  readonly network: Network;
  readonly update: Update;
  /** Control words and doubles. */
  readonly words: Int32Array;
  readonly doubles: Float64Array;
  readonly stepsPerEpoch: number;
  readonly totalSteps: number;
  readonly #kernels: Kernels;
  readonly #plan: Plan;
  readonly #job: TrainingJob;
  readonly #thread: number;
  /** What the schedule starts from. */
  readonly #rate: number;
  readonly #tiles: readonly Tile[];
  readonly #pass: ForwardPass;
  readonly #everySteps: number | null;
  readonly #notify: () => void;
  /** Checkpoints that were due, since the last one taken, while the snapshot buffer was not free (the leader counts them). */
  skipped = 0;

  /** `everySteps`: steps between checkpoints, or null. `notify` tells the main thread that the log is filling up. */
  constructor(
    kernels: Kernels,
    plan: Plan,
    job: TrainingJob,
    thread: number,
    everySteps: number | null,
    notify: () => void,
  ) {
    const { control } = plan.addresses;
    this.#kernels = kernels;
    this.#plan = plan;
    this.#job = job;
    this.#thread = thread;
    this.#everySteps = everySteps;
    this.#notify = notify;
    this.words = new Int32Array(kernels.memory.buffer, control);
    this.doubles = new Float64Array(kernels.memory.buffer, control);
    this.barrier = new Barrier(kernels, this.words, control, plan.threads);
    this.batches = new Batches(kernels, plan, job, this.barrier, thread === 0);
    this.network = new Network(kernels, plan, job.loss, job.data.target.classes, thread);
    this.#rate = configure(job.optimizer).rate;
    this.update = new Update(kernels, plan, job.optimizer, job.training, this.barrier, thread);
    this.stepsPerEpoch = stepsPerEpoch(job.training, job.data.trainRows.length);
    this.totalSteps = this.stepsPerEpoch * job.training.epochs;
    this.#tiles = gradientTiles(plan, thread);
    const [seedLow, seedHigh] = halves(job.training.seed);
    this.#pass = { training: true, step: 0, seedLow, seedHigh };
  }

  /** Runs the step after `progress.step` steps, and counts it. Afterwards `words[WORD.action]` says what to do at the boundary. */
  run(progress: Progress): void {
    const step = progress.step;
    this.batches.begin(step);
    const lr = learningRate(this.#kernels, this.#job.schedule, this.#rate, step, this.stepsPerEpoch);
    this.update.begin(step + 1, lr);
    const loss = this.#evaluate(step);
    if (!this.update.tilewise) {
      this.barrier.meet();
      this.update.run(loss, () => {
        const again = this.#evaluate(step);
        this.barrier.meet();
        return again;
      });
    }
    progress.step = step + 1;
    if (this.#thread === 0) this.#lead(progress, loss, lr);
    this.barrier.meet();
  }

  /** The loss at the present weights, and my rows of its gradient. */
  #evaluate(step: number): number {
    const divisor = this.#bySamples(step);
    this.barrier.meet();
    this.#gradients();
    const terms = this.batches.samples * this.#plan.termsPerSample;
    return this.#kernels.sum_f32(this.#plan.addresses.terms, terms) / divisor;
  }

  /** Returns the loss' divisor. */
  #bySamples(step: number): number {
    const { batches, network } = this;
    this.#pass.step = step;
    batches.gatherTargets();
    const divisor = network.loss.divisor(0, batches.samples);
    const [begin, end] = share(batches.samples, this.#thread, this.#plan.threads);
    if (begin < end) {
      batches.gather(begin, end);
      network.forward(begin, end, this.#pass);
      network.loss.run(begin, end, 1 / divisor);
      network.backward(begin, end, this.#pass);
    }
    return divisor;
  }

  #gradients(): void {
    for (const tile of this.#tiles) {
      this.network.gradient(tile.parameter, tile.begin, tile.end, this.batches.samples);
      this.update.tileReady(tile);
    }
  }

  /** What the leader alone does, between the step's meetings: the log, the decision. */
  #lead(progress: Progress, loss: number, lr: number): void {
    const { words, doubles } = this;
    progress.lossSum += loss;
    progress.lossSteps++;
    const done = progress.step;
    if (done % this.#job.training.log_every_steps === 0 || done === this.totalSteps) {
      const mean = progress.lossSum / progress.lossSteps;
      progress.lossSum = 0;
      progress.lossSteps = 0;
      doubles[DOUBLE.trainLoss] = mean;
      this.#log(done, mean, lr);
    }
    Atomics.store(words, WORD.epoch, Math.floor(done / this.stepsPerEpoch));
    Atomics.store(words, WORD.step, done);
    Atomics.store(words, WORD.action, Number.isFinite(loss) ? this.#decide(done) : ACTION.diverged);
  }

  /** Puts an entry into the ring, and waits for the main thread only if it is full. */
  #log(done: number, loss: number, lr: number): void {
    const written = this.words[WORD.logWritten];
    const behind = () => written - Atomics.load(this.words, WORD.logRead);
    if (behind() === LOG_ENTRIES / 2) this.#notify();
    while (behind() >= LOG_ENTRIES && this.words[WORD.abort] === 0)
      Atomics.wait(this.words, WORD.logRead, written - LOG_ENTRIES, 100);
    const at = (this.#plan.addresses.log >>> 3) + (written % LOG_ENTRIES) * 4;
    this.#kernels.f64.set([done, loss, lr, this.update.gradientNorm], at);
    Atomics.store(this.words, WORD.logWritten, written + 1);
  }

  /** Holds while the main thread says so, then turns its requests, and the checkpoint that is due, into this boundary's action. */
  #decide(done: number): number {
    const { words } = this;
    while (Atomics.load(words, WORD.suspended) === 1 && words[WORD.abort] === 0)
      Atomics.wait(words, WORD.suspended, 1, 100);
    const due = this.#everySteps !== null && done % this.#everySteps === 0;
    const busy = Atomics.load(words, WORD.snapshotBusy) === 1;
    if (due && busy) this.skipped++;
    const requested = Atomics.load(words, WORD.request);
    // Training does not wait for the buffer: a request stays until it is free. Only the last snapshot of a run is waited for.
    const granted = busy ? requested & ~REQUEST.snapshot : requested;
    if (granted !== 0) Atomics.and(words, WORD.request, ~granted);
    return due && !busy ? granted | ACTION.snapshot : granted;
  }
}
