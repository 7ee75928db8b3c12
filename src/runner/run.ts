/**
 * One run of a job: from the lease that was acquired to the word that ends it.
 *
 * The engine trains on threads of its own; here its news become the record, and what happens around
 * it becomes requests to it:
 *
 * - what is wanted (to cancel, to pause) is told by a message, or by the heartbeat, which also says
 *   whether the run may still write;
 * - a pause stops the crew at a step boundary, with a checkpoint, and gives the job back as paused;
 *   one that comes when the training is over is too late;
 * - a shutdown does the same, but writes a checkpoint only if the state is small enough to be
 *   written in time, and gives the job back as queued;
 * - while Redis is away the crew holds at a step boundary, its state in memory, and goes on if the
 *   run is still the latest when Redis answers;
 * - a divergence that is to be rewound ends the crew, and another one begins where it leads to;
 * - What is wanted at once (to cancel), and what nobody can mend (an error of ours), ends the run
 *   in any stage;
 * - a run that lost its lease stops where it is and writes nothing: its successor has dropped what
 *   was not committed, and computes the same again.
 */
import { DatasetUnreachable } from "../data/cache.ts";
import { Crew, ThreadFailed, type CrewHandlers, type Outcome } from "../engine/crew.ts";
import type { Evaluation } from "../engine/evaluation.ts";
import { changeAfter, type Change } from "../engine/rewind.ts";
import { PlanError } from "../engine/shapes.ts";
import type { Logger } from "../log.ts";
import { meters } from "../meters.ts";
import type { Finding } from "../spec/diagnosis.ts";
import { MAX_SECONDS, type ResolvedSpec } from "../spec/spec.ts";
import { watchedMetrics, type WatchedMetric } from "../spec/watched.ts";
import type { Checkpoint, JobStatus } from "../spec/wire.ts";
import { LeaseLost } from "../store/errors.ts";
import type { Blame, Lease, Work } from "../store/lease.ts";
import type { ProgressReport } from "../store/record.ts";
import { Checkpoints, serialized, type StateFile } from "./checkpoints.ts";
import { Endings } from "./endings.ts";
import { Heartbeat } from "./heartbeat.ts";
import { persist, type Life } from "./persist.ts";
import { JobFailure, notesOn, prepare, readStart, unreadable, type Prepared, type Sources } from "./prepare.ts";
import { RunProgress } from "./progress.ts";
import { StageWatch, type Stage } from "./pulse.ts";
import { Reporter } from "./reporter.ts";
import { rewind } from "./rewind.ts";
import type { Threads } from "./threads.ts";
import type { RunTrace } from "./trace.ts";

/**
 * The largest state that is written when the process is told to end: whoever told it does not wait
 * long.
 */
const SHUTDOWN_STATE_BYTES = 64 * 1024 * 1024;

/**
 * Of a job that is evaluated more often, every so many evaluations become an event and a span; the
 * metrics have all.
 */
const MAX_EVALUATED_EVENTS = 1000;

/** What a run may be asked to do, the more urgent last. */
const URGENCY = ["pause", "shutdown", "cancel"] as const;
type Wanted = (typeof URGENCY)[number];

/** The run was asked to cancel its job while it was at something that it need not finish. */
class Cancelled extends Error {}

/**
 * `ended`: there is nothing left to run, for good or until the job is resumed. `released`: it is
 * queued again. `postponed`: that too, but not to be tried at once. `lost`: it is somebody else's.
 */
export type RunEnd = "ended" | "released" | "postponed" | "lost";

export interface RunOptions extends Sources {
  leaseMs: number;
  threads: Threads;
  log: Logger;
  trace(lease: Lease): RunTrace;
  /** Renews the lock on the delivery that brought the job. */
  renewLock(leaseMs: number): Promise<unknown>;
  /** Whether its process runs no other job now. */
  alone(): boolean;
  /** Called whenever the job is safe up to a further step. */
  committed(run: Run): void;
}

export class Run {
  readonly lease: Lease;
  readonly trace: RunTrace;
  readonly #options: RunOptions;
  readonly #log: Logger;
  readonly #gone = new AbortController();
  /** For the last word on the job, and for all that comes before it. */
  readonly #life: Life;
  readonly #course: Life;
  readonly #interruption = new AbortController();
  readonly #interrupted = Promise.withResolvers<never>();
  readonly #reporter: Reporter;
  readonly #heartbeat: Heartbeat;
  readonly #endings: Endings;
  #wanted: Wanted | null = null;
  /** Resolved once anything is wanted. */
  readonly #toStop = Promise.withResolvers<null>();
  #away = false;
  #stateBytes = 0;
  #crew: Crew | null = null;
  readonly #watch: StageWatch;
  #checkpoints: Checkpoints | null = null;
  #final: Promise<StateFile> | null = null;
  #progress: RunProgress | null = null;

  constructor(lease: Lease, options: RunOptions) {
    this.lease = lease;
    this.trace = options.trace(lease);
    this.#options = options;
    this.#log = options.log.child({ job_id: lease.jobId, run: lease.run });
    this.#life = { gone: this.#gone.signal, log: this.#log };
    this.#course = { gone: this.#interruption.signal, log: this.#log };
    this.#interrupted.promise.catch(() => undefined);
    this.#watch = new StageWatch(
      "preparing",
      () => this.#arrived(),
      () => this.#away,
    );
    this.#reporter = new Reporter(
      lease,
      () => this.#progressNow(),
      this.#log,
      (error) => this.#interrupt(error),
    );
    this.#endings = new Endings(lease, this.#reporter, this.#life, () => this.#heartbeat.lastWord());
    this.#heartbeat = new Heartbeat(
      lease,
      options.leaseMs,
      () => this.#blame(),
      (leaseMs) => options.renewLock(leaseMs),
      {
        status: (status) => this.told(status),
        away: () => this.#hold(),
        back: () => this.#goOn(),
        lost: (silenced) => {
          if (silenced) lease.lives().catch(() => undefined);
          this.abandon(new LeaseLost("the lease lapsed and the job was taken over"));
        },
        broken: (error) => this.#interrupt(error),
      },
      this.#log,
    );
  }

  async execute(): Promise<RunEnd> {
    try {
      return await this.#train().catch((error: unknown) => this.#fail(error));
    } catch (error) {
      const { aborted, reason } = this.#gone.signal;
      const lost = (aborted ? reason : error) instanceof LeaseLost;
      if (!aborted && !lost) throw error;
      if (lost) meters.leaseLosses.inc();
      this.#log.warn({ reason: (error as Error).message }, "run dropped");
      return "lost";
    } finally {
      this.#heartbeat.close();
      this.#reporter.stop();
      this.#watch.close();
      // Whatever it left unfinished ends too.
      this.abandon(new LeaseLost("the run has ended"));
    }
  }

  /** The process is to end: stop soon, and give the job back. */
  shutdown(): void {
    this.#want("shutdown");
  }

  /** What the job's status is, and so what is wanted of this run. */
  told(status: JobStatus): void {
    if (status === "cancelling") this.#want("cancel");
    if (status === "pausing") this.#want("pause");
  }

  /** Asks the record what is wanted. */
  look(): void {
    this.#heartbeat.look();
  }

  /** @throws Error if it stands still */
  assertMoving(): void {
    const still = this.#watch.still(this.lease.jobId);
    if (still !== null) throw new Error(still);
  }

  /** Stops at once and writes nothing more. */
  abandon(reason: Error): void {
    this.#gone.abort(reason);
    this.#interrupt(reason);
  }

  /** Stops at once; the job goes on elsewhere, from its last checkpoint. */
  async drop(): Promise<void> {
    this.abandon(new Error("the process ends"));
    const message = "The worker had to shut down before the job could stop; another one goes on.";
    await this.lease.release({ type: "requeued", message, step: null, data: null });
  }

  /** Ends the run's course, whatever it is at, with `reason`. */
  #interrupt(reason: unknown): void {
    this.#interruption.abort(reason);
    this.#interrupted.reject(reason);
    if (!(reason instanceof Cancelled)) this.#crew?.abandon(reason as Error);
  }

  /** Waits for `work` unless the run is interrupted. */
  async #uninterrupted<T>(work: Promise<T>): Promise<T> {
    return await Promise.race([work, this.#interrupted.promise]);
  }

  #enter(stage: Stage, count: () => number): void {
    this.#watch.enter(stage, count);
    this.trace.enter(stage);
  }

  /** A number that changes as long as anything comes of what the run waits for outside its crew. */
  #arrived(): number {
    return this.lease.answered + (this.#options.cache?.received ?? 0);
  }

  async #train(): Promise<RunEnd> {
    const work = await this.#uninterrupted(persist(this.#course, () => this.lease.work()));
    const preparing = prepare(this.lease, work, this.#options, this.#course);
    preparing.catch(() => undefined);
    const prepared = await this.#uninterrupted(Promise.race([preparing, this.#toStop.promise]));
    if (prepared === null) return await this.#stopped();
    this.#stateBytes = work.stateBytes;
    const committed = () => this.#options.committed(this);
    this.#checkpoints = new Checkpoints(this.lease, work.spec, this.#reporter, this.#course, this.trace, committed);
    const outcome = await this.#withThreads(work.spec, (threads) => this.#runCrews(threads, prepared));
    return await this.#conclude(outcome, work.spec, prepared);
  }

  async #withThreads<T>({ resources }: ResolvedSpec, use: (count: number) => Promise<T>): Promise<T> {
    const count = this.#options.threads.take(resources.threads);
    try {
      return await use(count);
    } finally {
      this.#options.threads.giveBack(count);
    }
  }

  /**
   * One crew after the other, each after the first from where a divergence of the one before leads
   * to.
   */
  async #runCrews(threads: number, prepared: Prepared): Promise<Outcome> {
    const { work } = prepared;
    const outcome = await this.#runCrew(threads, prepared);
    this.#interruption.signal.throwIfAborted();
    const change = outcome.type === "diverged" ? changeAfter(prepared.training, outcome, firstStep(work)) : null;
    if (outcome.type !== "diverged" || change === null) return outcome;
    const writers = {
      lease: this.lease,
      reporter: this.#reporter,
      checkpoints: this.#checkpoints!,
      life: this.#course,
    };
    this.#enter("preparing", () => this.#arrived());
    const back = await this.#uninterrupted(rewind(writers, work, outcome, change));
    this.#log.info({ ...change, from: goesOnFrom(back)?.step ?? 0 }, "rewound");
    const start = await this.#uninterrupted(readStart(this.lease, back, this.#course));
    return await this.#runCrews(threads, { ...prepared, ...start });
  }

  async #runCrew(threads: number, { work, training, state, weights }: Prepared): Promise<Outcome> {
    const { spec } = work;
    const { every_steps: everySteps, every_seconds: everySeconds, at_start } = spec.checkpoint;
    this.#crew = null;
    this.#progress = new RunProgress(training, goesOnFrom(work), findingsOf(work));
    // A run that goes on from a checkpoint has one.
    const atStart = at_start && work.checkpoint === null;
    const options = { threads, everySteps, atStart, state, weights, changes: changesOf(work) };
    const crew = await Crew.start(training, options, this.#handlers(spec)).catch((error: unknown) => {
      const from = work.checkpoint ?? work.origin;
      // No plan or no memory is not the checkpoint's fault.
      const otherwise = error instanceof PlanError || error instanceof RangeError;
      if (from === null || otherwise) throw error;
      throw unreadable(from.step, (error as Error).message);
    });
    this.#gone.signal.throwIfAborted();
    this.#crew = crew;
    for (const finding of crew.findings) this.#progress!.diagnosed(finding);
    this.#log.info({ threads, step: goesOnFrom(work)?.step ?? 0 }, "training");
    if (this.#away) crew.suspend();
    if (this.#wanted !== null) this.#stop();
    // A spec that was stored earlier may say more than a timer can.
    const everyMs = everySeconds === null ? null : Math.min(everySeconds, MAX_SECONDS) * 1000;
    const snapshots = everyMs === null ? undefined : setInterval(() => crew.snapshot(), everyMs);
    this.#enter("training", () => crew.pulse());
    try {
      return await crew.run();
    } finally {
      clearInterval(snapshots);
      this.#enter("ending", () => this.lease.answered);
    }
  }

  #handlers(spec: ResolvedSpec): CrewHandlers {
    const { training } = spec;
    const progress = this.#progress!;
    const watched = new Set(watchedMetrics(spec));
    const evaluations = training.epochs / training.eval_every_epochs;
    const epochsPerEvent = training.eval_every_epochs * Math.ceil(evaluations / MAX_EVALUATED_EVENTS);
    return {
      log: (entries) => {
        // Without clipping there is no norm to tell of.
        this.#reporter.metrics(
          entries.map(({ grad_norm, ...row }) => (grad_norm === null ? row : { ...row, grad_norm })),
        );
        progress.logged(entries[entries.length - 1]);
      },
      evaluated: (evaluation, seconds) => {
        const { step, epoch, metrics, improved } = evaluation;
        this.#reporter.metrics([{ step, ...metrics }]);
        if (epoch % epochsPerEvent === 0) {
          this.#reporter.event("evaluated", `Evaluated after epoch ${epoch}.`, step, { epoch, metrics, improved });
          this.trace.did("evaluate", Date.now() - seconds * 1000, step);
        }
        progress.evaluated(evaluation);
        this.#tellUndefined(evaluation, watched);
      },
      observed: (step, metrics) => this.#reporter.metrics([{ step, ...metrics }]),
      diagnosed: (finding) => {
        const { step, message, remedy, ...data } = finding;
        this.#reporter.event("diagnosed", `${message} ${remedy}`, step, { ...data, remedy });
        progress.diagnosed(finding);
      },
      snapshot: (snapshot) => {
        // The last state is committed together with the end of the job.
        if (!snapshot.kinds.includes("final")) return this.#checkpoints!.submit(snapshot);
        this.#final = serialized(snapshot);
        // Awaited at the end, which a run that is dropped does not reach.
        this.#final.catch(() => undefined);
      },
    };
  }

  /** Of each metric that decides something it is told once that it cannot. */
  #tellUndefined({ step, epoch, metrics }: Evaluation, watched: Set<WatchedMetric>): void {
    for (const each of watched) {
      if (Number.isFinite(metrics[each.metric])) continue;
      watched.delete(each);
      const message = `After epoch ${epoch} ${each.metric} is not a finite number. For ${each.by} that is no improvement, now and whenever it is so again.`;
      this.#reporter.event("metric_undefined", message, step, { metric: each.metric, epoch });
    }
  }

  async #conclude(outcome: Outcome, spec: ResolvedSpec, { encoding }: Prepared): Promise<RunEnd> {
    if (outcome.type === "stopped") return await this.#stopped();
    if (outcome.type === "diverged") {
      const { finding, step } = outcome;
      this.#progress!.diagnosed(finding);
      throw new JobFailure(
        "diverged",
        `${finding.message}${inVain(outcome)}`,
        `${finding.remedy}${furtherBack(outcome)}`,
        step,
      );
    }
    await this.#uninterrupted(this.#checkpoints!.idle());
    const state = await this.#uninterrupted(this.#final!);
    const finished = { outcome, spec, state, notes: notesOn(this.#crew!.plan, encoding) };
    const interrupted = (waiting: boolean) => waiting && this.#wanted !== null;
    const done = await this.#uninterrupted(
      this.#endings.succeeded(finished, this.#progressNow(), this.#checkpoints!, interrupted, this.#course),
    );
    if (!done) return await this.#stopped();
    this.#log.info({ step: outcome.step, stop_reason: outcome.type }, "job succeeded");
    return "ended";
  }

  async #stopped(): Promise<RunEnd> {
    this.trace.enter("ending");
    const progress = this.#progressNow();
    if (this.#wanted === "cancel") {
      // A checkpoint that is still being written is not waited for: it will find the job ended.
      await this.#endings.cancelled(progress);
      this.#log.info({ step: progress?.step }, "job cancelled");
      return "ended";
    }
    if (this.#checkpoints !== null) await this.#uninterrupted(this.#checkpoints.idle());
    const status = await this.#endings.released("The worker is shutting down; another one goes on.", progress);
    this.#log.info({ step: progress?.step, status }, "job given back");
    return status === "queued" ? "released" : "ended";
  }

  async #fail(error: unknown): Promise<RunEnd> {
    if (this.#gone.signal.aborted || error instanceof LeaseLost) throw error;
    this.trace.enter("ending");
    if (error instanceof Cancelled) return await this.#stopped();
    if (error instanceof DatasetUnreachable) return await this.#postponed(error);
    const failure = error instanceof JobFailure ? error : unexpected(error);
    this.trace.failed(failure.code, failure.message);
    if (failure === error) this.#log.warn({ code: failure.code, reason: failure.message }, "job failed");
    else this.#log.error({ err: error }, "job failed");
    if (this.#checkpoints !== null) await this.#uninterrupted(this.#checkpoints.idle()).catch(() => undefined);
    await this.#endings.failed(failure, this.#progressNow());
    return "ended";
  }

  /**
   * It is not the job's fault: another worker may have the data, or this one later. Its owner's
   * other jobs need not wait for that.
   */
  async #postponed({ message }: DatasetUnreachable): Promise<RunEnd> {
    this.#log.warn({ reason: message }, "job given back");
    const status = await this.#endings.released(message, null, true);
    return status === "queued" ? "postponed" : "ended";
  }

  #want(what: Wanted): void {
    if (this.#wanted !== null && URGENCY.indexOf(what) <= URGENCY.indexOf(this.#wanted)) return;
    this.#wanted = what;
    this.#toStop.resolve(null);
    this.#stop();
    if (what === "cancel") this.#interrupt(new Cancelled("the job is to be cancelled"));
    // From now on its end is nobody's crash.
    if (what === "shutdown") this.look();
  }

  #blame(): Blame {
    if (this.#wanted === "shutdown") return "none";
    return this.#options.alone() ? "own" : "shared";
  }

  #stop(): void {
    const quick = this.#stateBytes <= SHUTDOWN_STATE_BYTES;
    this.#crew?.stop({ snapshot: this.#wanted === "pause" || (this.#wanted === "shutdown" && quick) });
  }

  #hold(): void {
    this.#log.warn("Redis is away: holding");
    this.#away = true;
    this.#crew?.suspend();
  }

  #goOn(): void {
    this.#log.info("Redis is back: going on");
    this.#away = false;
    this.#crew?.resume();
  }

  /** Null until the job is known. */
  #progressNow(): ProgressReport | null {
    return this.#progress && this.#progress.at(this.#crew?.progress().step ?? null);
  }
}

/** What the run does not do again; null: it begins at step 0. */
function goesOnFrom({ checkpoint, origin }: Work): Pick<Checkpoint, "step" | "metrics"> | null {
  return checkpoint ?? (origin?.use === "state" ? origin : null);
}

/** Before which there is nothing to go back to. */
function firstStep({ origin }: Work): number {
  return origin?.use === "state" ? (origin.first ?? origin.step) : 0;
}

/** The changes as the engine takes them. */
function changesOf({ changes }: Work): Change[] | null {
  return changes && changes.map(({ step, detected_step, lr_factor }) => ({ step, detected_step, lr_factor }));
}

function findingsOf({ changes }: Work): Finding[] {
  return (changes ?? []).flatMap(({ finding }) => finding ?? []);
}

function inVain({ changes: { length } }: { changes: readonly Change[] }): string {
  if (length === 0) return "";
  return ` Training had gone back ${length === 1 ? "once" : `${length} times`} before.`;
}

/** Going back to one step again and again suggests that the weights were ruined there already. */
function furtherBack({ changes }: { readonly changes: readonly Change[] }): string {
  const steps = new Set(changes.map(({ step }) => step));
  const [step] = steps;
  if (changes.length < 2 || steps.size > 1 || step === 0) return "";
  return ` If it was too late at step ${step}, to which training went back each time, raise detectors.diverging.rewind.window.`;
}

function unexpected(error: unknown): JobFailure {
  if (error instanceof ThreadFailed) return new JobFailure("thread_failed", error.message);
  return new JobFailure("internal", `Something went wrong in the worker: ${(error as Error).message}`);
}
