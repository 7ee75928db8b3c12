import { WeightAverages } from "./averaging.ts";
import { Barrier } from "./barrier.ts";
import { size } from "../member/shape.ts";
import { Batches } from "./batches.ts";
import { ACTION, DOUBLE, LOG_ENTRIES, logIndex, REQUEST, serialsApart, VERDICT, WORD } from "../crew/control.ts";
import type { Finding } from "../detectors/detector.ts";
import { Diagnosis, verdictOf } from "../watch/diagnosis.ts";
import { RangeTest } from "../watch/range-test.ts";
import { Gradient } from "./gradient.ts";
import { batchesPerStep, stepsPerEpoch, type TrainingJob } from "../job.ts";
import type { Outbox } from "../crew/mail.ts";
import type { Kernels } from "../kernels/kernels.ts";
import type { ForwardPass } from "../layers/layer.ts";
import type { Loss } from "../losses/loss.ts";
import type { Plan } from "../plan/model.ts";
import { Network } from "./network.ts";
import { bindObjective, lossOf, type Objective } from "./objective.ts";
import { observedMetrics, Observer, type LayerObservation } from "../watch/observer.ts";
import { seedHalves } from "../kernels/random.ts";
import { followerOf, type Follower } from "../schedules/follower.ts";
import { Rates } from "./rates.ts";
import { gradientTiles, type Tile } from "../plan/slices.ts";
import { lossWeightsOf } from "../training.ts";
import type { Progress } from "../state/state.ts";
import { Update } from "./update.ts";

/**
 * What a step is made of, bound to the addresses of a plan. It knows the settings of a job, but
 * none of its rows, so jobs of one plan with the same settings may share it, one after the other.
 */
export class StepParts {
  /** Control words and doubles. */
  readonly words: Int32Array;
  readonly doubles: Float64Array;
  readonly barrier: Barrier;
  readonly network: Network;
  readonly loss: Loss;
  readonly evaluation: Network;
  readonly evaluated: Objective;
  readonly gradient: Gradient;
  readonly update: Update;
  readonly rates: Rates;
  readonly tiles: readonly Tile[];

  constructor(kernels: Kernels, plan: Plan, job: TrainingJob, thread: number) {
    const { control } = plan.addresses;
    const { training, data } = job;
    this.words = new Int32Array(kernels.memory.buffer, control);
    this.doubles = new Float64Array(kernels.memory.buffer, control);
    this.barrier = new Barrier(kernels, this.words, control, plan.threads);
    this.network = new Network(kernels, plan, plan.training, this.barrier, thread);
    this.evaluation = new Network(kernels, plan, plan.evaluation, this.barrier, thread);
    const objective = (network: Network) => bindObjective(kernels, plan, network, lossOf(job), data.target.classes);
    this.loss = objective(this.network).loss;
    this.evaluated = objective(this.evaluation);
    this.gradient = new Gradient(kernels, plan, training, this.barrier, thread);
    const averages = WeightAverages.of(kernels, plan, training);
    this.update = new Update(kernels, plan, this.gradient, this.barrier, thread, averages);
    this.rates = new Rates(kernels, job.schedule, plan.groups, stepsPerEpoch(training, data.trainRows.length));
    this.tiles = gradientTiles(plan, thread);
  }
}

/** What the leader tells at a step boundary besides the log. */
interface News {
  /** Metrics of the step, if it was observed. */
  observed: Record<string, number> | null;
  findings: Finding[];
}

/*
 * One training step, as every thread of a crew runs it.
 *
 *   by samples      gather my slab of the batch, forward, loss, backward down to each layer's
 *                   input gradient
 *   ── meet ──
 *   by parameters   the gradients of my rows over the whole batch, and the update of each tile
 *                   while it is in cache
 *   (── meet ──     and the same again with the step's next batch, if gradients are accumulated;
 *                   the last one completes the tiles)
 *   (── meet ──     and the optimizer's passes, only if something needs the whole gradient; a
 *                   search evaluates again, as above; an observation looks at my blocks before
 *                   and after)
 *   the leader      logs, diagnoses, and decides what all do at the step's end
 *   ── meet ──
 *
 * What happens between two steps (evaluation, early stopping, checkpoints) is in
 * crew/crew-thread.ts.
 *
 * Everything that a thread needs to know is in the memory, or every thread computes it in the same
 * way. Threads exchange only the words of the barrier and the leader's ACTION.
 */
export class TrainingStep {
  readonly barrier: Barrier;
  readonly batches: Batches;
  readonly network: Network;
  /** The same network on the buffers of evaluations, and the losses at its end. */
  readonly evaluation: Network;
  readonly evaluated: Objective;
  readonly gradient: Gradient;
  readonly update: Update;
  /** Null unless the schedule follows a metric. */
  readonly follower: Follower | null;
  readonly observer: Observer | null;
  /** Null unless the job tests rates. Only the leader's sees the losses. */
  readonly rangeTest: RangeTest | null;
  /** What the leader tells at the next boundary. */
  news: News = { observed: null, findings: [] };
  /** Control words and doubles. */
  readonly words: Int32Array;
  readonly doubles: Float64Array;
  readonly stepsPerEpoch: number;
  readonly totalSteps: number;
  readonly #diagnosis: Diagnosis;
  readonly #kernels: Kernels;
  readonly #plan: Plan;
  readonly #job: TrainingJob;
  readonly #thread: number;
  readonly #rates: Rates;
  readonly #loss: Loss;
  readonly #scratch: number;
  readonly #tiles: readonly Tile[];
  readonly #pass: ForwardPass;
  readonly #everySteps: number | null;
  readonly #mail: Outbox;
  /**
   * Checkpoints that were due, since the last one taken, while the snapshot buffer was not free
   * (the leader counts them).
   */
  skipped = 0;
  /** Learning rate of the last step. */
  #lr = 0;

  /**
   * `everySteps`: steps between checkpoints, or null. `mail` gets the log, or is told that the ring
   * fills up.
   */
  constructor(
    kernels: Kernels,
    plan: Plan,
    job: TrainingJob,
    thread: number,
    everySteps: number | null,
    mail: Outbox,
    parts = new StepParts(kernels, plan, job, thread),
  ) {
    this.#kernels = kernels;
    this.#plan = plan;
    this.#job = job;
    this.#thread = thread;
    this.#everySteps = everySteps;
    this.#mail = mail;
    const { words, doubles, barrier, network, evaluation, evaluated, gradient, update } = parts;
    this.words = words;
    this.doubles = doubles;
    this.barrier = barrier;
    this.network = network;
    this.evaluation = evaluation;
    this.evaluated = evaluated;
    this.gradient = gradient;
    this.update = update;
    this.#loss = parts.loss;
    this.#rates = parts.rates;
    this.#tiles = parts.tiles;
    this.batches = new Batches(kernels, plan, job, barrier, thread === 0);
    this.stepsPerEpoch = stepsPerEpoch(job.training, job.data.trainRows.length);
    this.totalSteps = this.stepsPerEpoch * job.training.epochs;
    this.follower = followerOf(job.schedule, this.#rates.bases, this.stepsPerEpoch);
    this.rangeTest = RangeTest.of(kernels, job.schedule);
    this.observer = job.observe ? new Observer(kernels, plan, job.observe, thread) : null;
    this.#diagnosis = new Diagnosis(job, this.totalSteps);
    this.#scratch = plan.addresses.scratch + thread * plan.scratchBytes;
    const [seedLow, seedHigh] = seedHalves(job.training.seed);
    this.#pass = { training: true, batch: 0, seedLow, seedHigh };
  }

  /**
   * Runs the step after `progress.step` steps, and counts it. Afterwards `words[WORD.action]` says
   * what to do at the boundary.
   */
  run(progress: Progress): void {
    const step = progress.step;
    this.batches.begin(step);
    const rates = this.#rates.next(progress);
    const observer = this.observer?.due(step + 1) ? this.observer : null;
    this.gradient.begin(step);
    this.update.begin(step + 1, rates, observer !== null);
    const loss = this.#evaluate(step);
    if (!this.update.tilewise) {
      this.barrier.meet();
      this.#update(step, loss, observer);
    }
    this.finish(progress, loss, rates[0].lr, observer);
    this.barrier.meet();
  }

  /** Counts a step that was made, here or in a pack. */
  finish(progress: Progress, loss: number, lr: number, observer: Observer | null = null): void {
    progress.step++;
    if (this.#thread === 0) this.#lead(progress, loss, lr, observer?.read() ?? null);
  }

  /**
   * Computes the loss at the present weights and this thread's rows of the gradient, both over all
   * batches of the step together. Only one batch at a time is in memory.
   */
  #evaluate(step: number): number {
    const { batches, barrier } = this;
    const { addresses, termsPerSample } = this.#plan;
    const divisor = this.#divisor();
    let sum = 0;
    for (let batch = 0; batch < batches.count; batch++) {
      // Until this meeting, other threads may still read the batch that the next one overwrites.
      if (batch > 0) barrier.meet();
      batches.turn(batch);
      this.#pass.batch = step * batchesPerStep(this.#job.training) + batch;
      this.#bySamples(divisor);
      barrier.meet();
      this.#gradients(batch);
      sum += this.#kernels.sum_f32(addresses.terms, batches.samples * termsPerSample);
    }
    return sum / divisor;
  }

  /**
   * The divisor of the loss, from the targets of all batches of the step. They are read from the
   * data, because a faster thread may already have overwritten them in the job's memory.
   */
  #divisor(): number {
    const { batches } = this;
    let sum = 0;
    for (let batch = 0; batch < batches.count; batch++) {
      if (lossWeightsOf(this.#job.data) !== undefined)
        batches.eachWeighed(batch, this.#scratch, (weight) => {
          sum += weight * this.#loss.divisor(this.#scratch, this.#plan.targetSize, 0);
        });
      else if (!this.#loss.weighs) sum = this.#loss.divisor(0, batches.samplesOf(batch) * this.#plan.targetSize, sum);
      else sum = batches.addDivisor(this.#loss, batch, this.#scratch, this.#plan.scratchBytes, sum);
    }
    return sum || 1;
  }

  /**
   * Updates the weights from the whole gradient. In an observed step the crew meets before and
   * after, because a thread may observe what another one wrote.
   */
  #update(step: number, loss: number, observer: Observer | null): void {
    observer?.before(this.batches.samples);
    if (observer) this.barrier.meet();
    this.update.run(loss, () => {
      const again = this.#evaluate(step);
      this.barrier.meet();
      return again;
    });
    if (!observer) return;
    this.barrier.meet();
    observer.after();
    this.barrier.meet();
  }

  #bySamples(divisor: number): void {
    const { batches, network } = this;
    const { samples } = batches;
    const { rows } = this.#plan.training;
    const begin = Math.min(samples, this.#thread * rows);
    const end = Math.min(samples, begin + rows);
    batches.gather(network.values, begin, end);
    network.forward(begin, end, samples, this.#pass);
    if (lossWeightsOf(this.#job.data) !== undefined) this.#weighed(begin, end, 1 / divisor);
    else if (begin < end) this.#loss.run(begin, end, 1 / divisor);
    network.backward(begin, end, samples, this.#pass);
  }

  /** The loss of samples that count differently: the terms, and the gradient of each. */
  #weighed(begin: number, end: number, scale: number): void {
    const { addresses, termsPerSample, prediction } = this.#plan;
    const { f32 } = this.#kernels;
    const width = size(prediction);
    for (let sample = begin; sample < end; sample++) {
      const weight = this.batches.weightOf(sample);
      this.#loss.run(sample, sample + 1, scale * weight);
      const terms = (addresses.terms >>> 2) + sample * termsPerSample;
      for (let i = terms; i < terms + termsPerSample; i++) f32[i] *= weight;
      // A loss without a scale writes no gradient.
      const gradient = this.network.predictionGradient / 4 + sample * width;
      if (weight === 0) f32.fill(0, gradient, gradient + width);
    }
  }

  #gradients(batch: number): void {
    const { count, samples } = this.batches;
    for (const tile of this.#tiles) {
      this.network.gradient(tile.parameter, tile.begin, tile.end, samples, this.gradient.rowsOf(tile.parameter));
      if (count > 1) this.gradient.accumulate(tile, batch === 0, batch === count - 1);
      if (batch < count - 1) continue;
      this.gradient.tileReady(tile);
      this.update.tileReady(tile);
    }
  }

  /** What the leader alone does between the step's two meetings: it logs, diagnoses and decides. */
  #lead(progress: Progress, loss: number, lr: number, observed: readonly LayerObservation[] | null): void {
    const { words, doubles } = this;
    progress.lossSum += loss;
    progress.lossSteps++;
    const done = progress.step;
    const followed = this.follower?.addLoss(progress, loss) ?? null;
    if (followed !== null) doubles[DOUBLE.followed] = followed;
    if (done % this.#job.training.log_every_steps === 0 || done === this.totalSteps) {
      const mean = progress.lossSum / progress.lossSteps;
      progress.lossSum = 0;
      progress.lossSteps = 0;
      doubles[DOUBLE.trainLoss] = mean;
      this.#log(done, mean, lr);
    }
    this.#lr = lr;
    this.#observe(progress, observed);
    if (Number.isFinite(loss)) this.#found(this.#diagnosis.step(progress.diagnosis, done, loss, lr, observed));
    if (this.rangeTest?.add(loss, lr)) words[WORD.verdict] = VERDICT.end;
    doubles[DOUBLE.epoch] = Math.floor(done / this.stepsPerEpoch);
    doubles[DOUBLE.step] = done;
    Atomics.store(words, WORD.action, Number.isFinite(loss) ? this.#decide(done) : ACTION.diverged);
  }

  #observe({ clipped }: Progress, observed: readonly LayerObservation[] | null): void {
    if (this.observer === null) return;
    const scaled = this.gradient.clipped;
    clipped.steps++;
    clipped.count += Number(scaled);
    if (observed === null) return;
    const fraction = scaled === null ? null : clipped.count / clipped.steps;
    this.news.observed = observedMetrics(observed, fraction, this.#job.observe!.per_layer);
    clipped.steps = 0;
    clipped.count = 0;
  }

  /** Shows the leader's detectors an evaluation. */
  diagnose({ step, metrics, diagnosis }: Progress): void {
    this.#found(this.#diagnosis.evaluated(diagnosis, step, metrics.valid_loss, this.#lr));
  }

  /** Keeps the findings for the main thread, and tells the other threads if they end the job. */
  #found(findings: readonly Finding[]): void {
    this.news.findings.push(...findings);
    for (const finding of findings)
      this.words[WORD.verdict] = Math.max(this.words[WORD.verdict], verdictOf(this.#job, finding));
  }

  #log(done: number, loss: number, lr: number): void {
    // An observed job reports the norm of the observed steps. That is the 2-norm, even if clipping
    // uses another norm.
    const norm = this.observer === null ? this.gradient.norm : Number.NaN;
    if (this.#mail.log === undefined) this.#logInRing(done, loss, lr, norm);
    else this.#mail.log(done, loss, lr, norm);
  }

  /** Waits for the main thread only if the ring is full. */
  #logInRing(done: number, loss: number, lr: number, norm: number): void {
    const written = this.words[WORD.logWritten];
    const behind = () => serialsApart(written, Atomics.load(this.words, WORD.logRead));
    if (behind() === LOG_ENTRIES / 2) this.#mail.post({ type: "log" });
    while (behind() >= LOG_ENTRIES && this.words[WORD.abort] === 0)
      Atomics.wait(this.words, WORD.logRead, (written - LOG_ENTRIES) | 0, 100);
    const at = (this.#plan.addresses.log >>> 3) + logIndex(written) * 4;
    this.#kernels.f64.set([done, loss, lr, norm], at);
    Atomics.store(this.words, WORD.logWritten, written + 1);
  }

  /**
   * Waits while the main thread has suspended the crew. Then turns its requests, and a checkpoint
   * that is due, into the action at this boundary.
   */
  #decide(done: number): number {
    const { words } = this;
    while (Atomics.load(words, WORD.suspended) === 1 && words[WORD.abort] === 0)
      Atomics.wait(words, WORD.suspended, 1, 100);
    const due = this.#everySteps !== null && done % this.#everySteps === 0;
    const busy = Atomics.load(words, WORD.snapshotBusy) === 1;
    if (due && busy) this.skipped++;
    const requested = Atomics.load(words, WORD.request);
    // Training does not wait for the buffer: a request stays until the buffer is free. Only for the
    // last snapshot of a run does it wait.
    const granted = busy ? requested & ~REQUEST.snapshot : requested;
    if (granted !== 0) Atomics.and(words, WORD.request, ~granted);
    return due && !busy ? granted | ACTION.snapshot : granted;
  }
}
