import { ACTION, DOUBLE, VERDICT, WORD } from "./control.ts";
import { evaluateShare, lossOf, metricsOf, reportOn } from "../step/evaluation.ts";
import type { Outbox } from "./mail.ts";
import type { Ended, Reports, SnapshotKind, Task } from "./messages.ts";
import { drawWeights, startBuffers, startOptimizer } from "../state/initialize.ts";
import type { TrainingJob } from "../job.ts";
import type { Kernels } from "../kernels/kernels.ts";
import { losses } from "../losses/registry.generated.ts";
import type { Plan } from "../plan/model.ts";
import { seedHalves } from "../kernels/random.ts";
import { rewindOf } from "../watch/rewind.ts";
import { share, weightBlocks } from "../plan/slices.ts";
import { finalFile, modelFiles, type FinalFile, type ModelFiles } from "../state/model-files.ts";
import { SMALL_BYTES, snapshotFile, type HashedFile, type Progress } from "../state/state.ts";
import { isPruned } from "../step/pruning.ts";
import { TrainingStep, type StepParts } from "../step/step.ts";
import type { EarlyStopping, Rewind } from "../settings.ts";
import { StartState } from "./start-state.ts";

/*
 * A thread of a crew: runs one job from its present step to its end, step after step. At each step
 * boundary it does these things in this order: evaluate if due, stop early, keep the best, update
 * the schedule that follows a metric, handle findings of detectors, checkpoint if due, obey the
 * main thread. Every thread takes the same decisions from the same words. Only the leader (thread
 * 0) watches the run and talks to the main thread. At the job's end the test comes before the
 * checkpoint.
 *
 * A test of rates (watch/range-test.ts) has none of this before its end, and no checkpoints. If it
 * is interrupted, it begins again.
 */

const LOSS = "valid_loss";

export class CrewThread {
  readonly step: TrainingStep;
  readonly #kernels: Kernels;
  readonly #task: Task;
  readonly #plan: Plan;
  readonly #job: TrainingJob;
  readonly #progress: Progress;
  readonly #rewind: Rewind | null;
  readonly #leader: boolean;
  readonly #mail: Outbox;
  /** Whether the loss is all that evaluations before the last are for. */
  readonly #lossDecides: boolean;
  /** Whether the last evaluation computed nothing but the loss. */
  #onlyLoss = false;
  #reports: Reports = { valid: null, test: null };
  /** Of a test of rates. */
  #start: StartState | null = null;

  /** `parts`: those of another job of the plan with the same settings (step.ts). */
  constructor(kernels: Kernels, plan: Plan, task: Task, mail: Outbox, parts?: StepParts) {
    this.#kernels = kernels;
    this.#plan = plan;
    this.#task = task;
    this.#job = task.job;
    this.#progress = task.progress;
    this.#rewind = rewindOf(task.job);
    this.#leader = task.thread === 0;
    this.#mail = mail;
    this.step = new TrainingStep(kernels, plan, task.job, task.thread, task.everySteps, mail, parts);
    this.#lossDecides = task.onlyModels === true && this.#deciding().every((metric) => metric === LOSS);
  }

  /** Yields between two steps as long as the outbox asks for it. */
  *run(): Generator<void, void> {
    this.begin();
    this.end(yield* this.#train());
  }

  begin(): void {
    const progress = this.#progress;
    if (this.#task.begins) this.#initialize();
    progress.schedule ??= this.step.follower?.fresh() ?? null;
    this.step.update.attach(progress);
    if (this.step.rangeTest === null || progress.finished !== null) return;
    this.#start = new StartState(this.#kernels, this.#plan, this.#task.thread, progress);
    this.step.barrier.meet();
  }

  end(outcome: Ended["outcome"]): void {
    if (this.#leader) this.#mail.post({ type: "ended", outcome, progress: this.#progress, reports: this.#reports });
  }

  #initialize(): void {
    const blocks = weightBlocks(this.#plan, this.#task.thread);
    const drawn = new Set(this.#task.drawn);
    drawWeights(this.#kernels, this.#plan, blocks, seedHalves(this.#job.training.seed), drawn);
    if (this.#leader) startBuffers(this.#kernels, this.#plan, drawn);
    startOptimizer(this.#kernels, this.#plan, blocks);
    this.step.barrier.meet();
  }

  *#train(): Generator<void, Ended["outcome"]> {
    const progress = this.#progress;
    if (progress.finished !== null) return this.#repeat();
    if (this.#task.atStart && this.#start === null && !this.#snapshot(["start"])) return "diverged";
    for (;;) {
      while (this.#mail.due()) yield;
      this.step.run(progress);
      const ended = this.boundary();
      if (ended !== null) return ended;
    }
  }

  /**
   * What is done after a step. Null: the job goes on. `validLoss`: the loss of its evaluation, if
   * that is known, and nothing else is wanted.
   */
  boundary(validLoss: number | null = null): Ended["outcome"] | null {
    const progress = this.#progress;
    const action = this.step.words[WORD.action];
    if (this.#start !== null) return this.#testedTo(action, this.#start);
    if (action & ACTION.diverged) return "diverged";
    const evaluated = this.#evaluationDue(progress.step);
    if (evaluated) this.#evaluate(validLoss);
    this.step.follower?.follow(progress, evaluated, this.step.doubles[DOUBLE.followed]);
    const verdict = this.step.words[WORD.verdict];
    if (verdict === VERDICT.end) this.#endEarly(evaluated);
    if (this.#leader) this.#tell();
    if (verdict === VERDICT.fail) return "diverged";
    if (progress.step === this.step.totalSteps) progress.finished = "completed";
    if (this.#lookDue() && !this.#weightsFinite()) return "diverged";
    if (progress.finished !== null) this.#report();
    const kinds = this.#kinds(action);
    if (kinds.length > 0 && !this.#snapshot(kinds) && this.#rewind === null) return "diverged";
    if (progress.finished !== null) return "finished";
    return action & ACTION.stop ? "stopped" : null;
  }

  /** A test of rates, after a step. At its end the state is again as it was before. */
  #testedTo(action: number, start: StartState): Ended["outcome"] | null {
    const { rangeTest, words, barrier } = this.step;
    if (this.#leader) this.#tell();
    const isOver = (action & ACTION.diverged) !== 0 || words[WORD.verdict] === VERDICT.end;
    if (!isOver) return action & ACTION.stop ? "stopped" : null;
    const progress = this.#progress;
    start.restore(progress);
    barrier.meet();
    if (this.#job.data.validRows.length > 0) this.#evaluate();
    progress.finished = "completed";
    if (this.#leader) progress.rangeTest = rangeTest!.result();
    this.#report();
    return this.#snapshot(["final"]) ? "finished" : "diverged";
  }

  /** A job that is restored after its end takes no step, and reports the same result again. */
  #repeat(): Ended["outcome"] {
    this.#evaluateRows(this.#job.data.validRows);
    this.#report();
    return this.#snapshot(["final"]) ? "finished" : "diverged";
  }

  /** A finding ends the job. Its metrics must be those of its last weights. */
  #endEarly(evaluated: boolean): void {
    if (!evaluated && this.#job.data.validRows.length > 0) this.#evaluate();
    this.#progress.finished ??= "diagnosed";
  }

  /** Posts the news of the step, or of the evaluation after it. */
  #tell(): void {
    const { observed, findings } = this.step.news;
    if (observed === null && findings.length === 0) return;
    this.step.news = { observed: null, findings: [] };
    if (observed !== null) this.#mail.post({ type: "observed", step: this.#progress.step, metrics: observed });
    for (const finding of findings) this.#mail.post({ type: "diagnosed", finding });
  }

  #kinds(action: number): SnapshotKind[] {
    const kinds: SnapshotKind[] = [];
    if (action & ACTION.snapshot) kinds.push("periodic");
    if (this.#progress.finished !== null) kinds.push("final");
    else if (action & ACTION.shutdownSnapshot) kinds.push("shutdown");
    return kinds;
  }

  /** Whether there is an evaluation after step `step`, and nothing but the loss is wanted of it. */
  wantsLoss(step: number): boolean {
    if (this.#plan.evaluatesOthers) return false;
    return this.#lossDecides && step < this.step.totalSteps && this.#evaluationDue(step);
  }

  #evaluationDue(step: number): boolean {
    const { stepsPerEpoch, totalSteps } = this.step;
    if (this.#job.data.validRows.length === 0 || step % stepsPerEpoch !== 0) return false;
    return (step / stepsPerEpoch) % this.#job.training.eval_every_epochs === 0 || step === totalSteps;
  }

  #evaluate(validLoss: number | null = null): void {
    const { barrier, update, follower, doubles, stepsPerEpoch } = this.step;
    const progress = this.#progress;
    const { early_stopping: rule, pruning, eval_every_epochs: every } = this.#job.training;
    const metric = rule?.metric ?? LOSS;
    const began = performance.now();
    this.#onlyLoss = this.#lossDecides && progress.step < this.step.totalSteps;
    if (validLoss === null) this.#validate();
    else progress.metrics = { valid_loss: validLoss };
    if (this.#leader) {
      doubles[DOUBLE.monitored] = progress.metrics[metric];
      if (pruning) doubles[DOUBLE.pruned] = progress.metrics[pruning.metric];
      if (follower !== null && follower.metric !== "train_loss")
        doubles[DOUBLE.followed] = progress.metrics[follower.metric];
      this.step.diagnose(progress);
    }
    barrier.meet();
    const value = doubles[DOUBLE.monitored];
    const improved = isBetter(value, progress.best?.value ?? null, rule);
    if (improved) progress.best = { step: progress.step, metric, value };
    progress.worse = improved ? 0 : progress.worse + 1;
    if (improved && this.#job.keepBest) update.keepBest();
    if (rule !== null && progress.worse >= rule.patience) progress.finished = "early_stopping";
    else if (pruning && isPruned(pruning, progress.step / stepsPerEpoch, every, doubles[DOUBLE.pruned]))
      progress.finished = "pruned";
    if (!this.#leader) return;
    const { step, metrics } = progress;
    const evaluation = { step, epoch: step / stepsPerEpoch, metrics, improved };
    this.#mail.post({ type: "evaluated", evaluation, seconds: (performance.now() - began) / 1000 });
  }

  /** The metrics of an evaluation that decide how the job goes on. */
  #deciding(): string[] {
    const { early_stopping: rule, pruning } = this.#job.training;
    const followed = this.step.follower?.metric ?? "train_loss";
    return [rule?.metric ?? LOSS, pruning?.metric ?? LOSS, followed === "train_loss" ? LOSS : followed];
  }

  #validate(): void {
    const { data } = this.#job;
    const { validRows: rows } = data;
    this.#evaluateRows(rows, this.#onlyLoss);
    if (!this.#leader) return;
    const evaluate = this.#onlyLoss ? lossOf : metricsOf;
    this.#progress.metrics = evaluate(this.#kernels, this.#plan, data, rows, this.#judge());
  }

  /**
   * Reports on the rows that validate, which were evaluated last, and on those of the test, whose
   * metrics join the others.
   */
  #report(): void {
    const { data } = this.#job;
    const { validRows, testRows } = data;
    if (this.#onlyLoss) {
      // The job has ended before its last step.
      this.#onlyLoss = false;
      this.#validate();
    }
    const reportOnRows = (rows: Int32Array) =>
      this.#leader && rows.length > 0 && !this.#task.onlyModels
        ? reportOn(this.#kernels, this.#plan, data, rows, this.#judge())
        : null;
    const valid = reportOnRows(validRows);
    // The leader must have read the records before the others write new ones.
    this.step.barrier.meet();
    this.#evaluateRows(testRows);
    this.#reports = { valid, test: reportOnRows(testRows) };
    if (!this.#leader || testRows.length === 0) return;
    const metrics = metricsOf(this.#kernels, this.#plan, data, testRows, this.#judge(), "test");
    this.#progress.metrics = { ...this.#progress.metrics, ...metrics };
  }

  /** What metrics ask of the loss. */
  #judge() {
    return { ...losses[this.#job.loss.type], ignored: this.step.evaluated.loss.ignored };
  }

  /** Records what the evaluation weights make of these rows. */
  #evaluateRows(rows: Int32Array, onlyLoss = false): void {
    if (rows.length === 0) return;
    const { evaluation: network, evaluated, batches, barrier } = this.step;
    this.#evaluationWeights();
    const objective = onlyLoss ? { ...evaluated, logLoss: null } : evaluated;
    evaluateShare(this.#kernels, this.#plan, this.#job.data, rows, network, objective, batches, this.#task.thread);
    barrier.meet();
  }

  /** Computes the evaluation weights, if they differ from those that are trained. */
  #evaluationWeights(): void {
    if (!this.#plan.evaluatesOthers) return;
    this.step.update.evaluate(this.#progress.step);
    this.step.barrier.meet();
  }

  /** Whether the weights are checked at this step, independent of checkpoints (rewind.ts). */
  #lookDue(): boolean {
    const { step, finished } = this.#progress;
    return this.#rewind !== null && (finished !== null || step % this.#rewind.every_steps === 0);
  }

  #weightsFinite(): boolean {
    const { words, barrier } = this.step;
    const { state, weightBytes } = this.#plan.addresses;
    this.#clearNotFinite();
    barrier.meet();
    const [from, to] = share(weightBytes / 64, this.#task.thread, this.#plan.threads).map((line) => line * 64);
    if (from < to && this.#kernels.all_finite(state + from, (to - from) / 4) === 0)
      Atomics.store(words, WORD.notFinite, 1);
    barrier.meet();
    return Atomics.load(words, WORD.notFinite) === 0;
  }

  /**
   * Called before a meeting. The word may still be set: a run that is rewound continues after a
   * snapshot that failed.
   */
  #clearNotFinite(): void {
    if (this.#leader) Atomics.store(this.step.words, WORD.notFinite, 0);
  }

  /**
   * Copies the state into the snapshot buffer; each thread copies its share. False if a weight is
   * not finite: such a state is not kept.
   */
  #snapshot(kinds: SnapshotKind[]): boolean {
    const { words, barrier } = this.step;
    const { state, stateBytes, weightBytes, snapshot } = this.#plan.addresses;
    this.#evaluationWeights();
    if (this.#leader)
      while (Atomics.load(words, WORD.snapshotBusy) === 1 && words[WORD.abort] === 0)
        Atomics.wait(words, WORD.snapshotBusy, 1, 100);
    this.#clearNotFinite();
    barrier.meet();
    const [from, to] = share(stateBytes / 64, this.#task.thread, this.#plan.threads).map((line) => line * 64);
    this.#kernels.u8.copyWithin(snapshot + from, state + from, state + to);
    const weights = Math.min(to, weightBytes) - from;
    if (weights > 0 && this.#kernels.all_finite(state + from, weights / 4) === 0)
      Atomics.store(words, WORD.notFinite, 1);
    barrier.meet();
    if (Atomics.load(words, WORD.notFinite) === 1) return false;
    if (this.#leader) this.#postSnapshot(kinds);
    return true;
  }

  #postSnapshot(kinds: SnapshotKind[]): void {
    const step = this.step;
    const progress = this.#progress;
    const file = this.#file(kinds);
    if (file === null) Atomics.store(step.words, WORD.snapshotBusy, 1);
    this.#mail.post({ type: "snapshot", kinds, skipped: step.skipped, progress, file });
    step.skipped = 0;
  }

  /**
   * To write a small state here takes less time than to ask another thread for it. Training waits
   * for it, so this is done only at the end, or if there is no other thread.
   */
  #file(kinds: SnapshotKind[]): HashedFile | FinalFile | ModelFiles | null {
    if (this.#task.onlyModels)
      return { models: modelFiles(this.#kernels.u8, this.#plan, this.#progress, this.#job.keepBest) };
    const small = this.#plan.addresses.stateBytes <= SMALL_BYTES;
    if (kinds.includes("final") && (small || this.#task.writesFiles))
      return finalFile(this.#kernels.u8, this.#plan, this.#progress, this.#job.keepBest);
    return this.#task.writesFiles ? snapshotFile(this.#kernels.u8, this.#plan, this.#progress) : null;
  }
}

/**
 * Whether an evaluation beats the best so far by more than min_delta. A metric that is not finite
 * beats nothing.
 */
function isBetter(value: number, best: number | null, rule: EarlyStopping | null): boolean {
  if (!Number.isFinite(value)) return false;
  if (best === null) return true;
  const delta = rule?.min_delta ?? 0;
  return rule?.mode === "max" ? value > best + delta : value < best - delta;
}
