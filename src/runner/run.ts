/**
 * One run of a job: from the lease that it got to the record of how it ended.
 *
 * The engine trains on threads of its own. The run turns what they tell into the record, and what
 * happens outside into requests to them:
 *
 * - A message or the heartbeat says what is wanted (cancel, pause). The heartbeat also says whether
 *   the run may still write.
 * - A pause stops the crew at a step boundary, writes a checkpoint and gives the job back as
 *   paused. A pause that comes after the training is over is too late.
 * - A move does the same, but gives the job back as queued, to go on as an ordinary job.
 * - A shutdown does the same, but gives the job back as queued, and writes a checkpoint only if the
 *   state is small enough to be written in time.
 * - While Redis is away the crew waits at a step boundary with its state in memory. It goes on if
 *   the run is still the latest when Redis answers.
 * - A divergence that is to be rewound ends the crew, and another crew begins at an earlier step.
 * - A cancel, or an error of ours, ends the run in any stage.
 * - A run that lost its lease stops at once and writes nothing. Its successor has dropped what was
 *   not committed, and computes the same again.
 */
import { DatasetUnreachable } from "../data/files/cache.ts";
import { Crew, type CrewHandlers } from "../engine/crew/crew.ts";
import type { Outcome } from "../engine/crew/outcome.ts";
import { changeAfter } from "../engine/watch/rewind.ts";
import { isShortage } from "../engine/crew/shortage.ts";
import { PlanError } from "../engine/plan/faults.ts";
import type { Logger } from "../log.ts";
import { meters } from "../meters.ts";
import { MAX_SECONDS } from "../contract/facts.ts";
import type { ResolvedSpec } from "../contract/schema/spec.ts";
import type { JobStatus } from "../contract/wire/job.ts";
import { LeaseLost } from "../store/errors.ts";
import type { Lease } from "../store/lease.ts";
import type { Blame } from "../store/renew.ts";
import type { ProgressReport } from "../store/record.ts";
import { Checkpoints, type StateFile } from "./checkpoints.ts";
import { crewHandlers } from "./crew-handlers.ts";
import { Endings } from "./endings.ts";
import { diverged, JobFailure, NO_MEMORY, unexpected, unreadable } from "./failures.ts";
import { Heartbeat } from "./heartbeat.ts";
import { persist, type Life } from "./persist.ts";
import { layersOf, notesOn } from "../contract/model-notes.ts";
import { prepare, readStart, type Prepared } from "./prepare.ts";
import type { TrainingOptions } from "./options.ts";
import { RunProgress } from "./progress.ts";
import { StageWatch, type Stage } from "./standstill.ts";
import { Reporter } from "./reporter.ts";
import { rewind } from "./rewind.ts";
import type { RunEnd, Running } from "./running.ts";
import type { RunTrace } from "./trace.ts";
import { changesOf, findingsOf, firstStep, resumesFrom } from "./work.ts";

/** The largest state that is written during a shutdown: a process gets little time to end. */
const SHUTDOWN_STATE_BYTES = 64 * 1024 * 1024;

/** What a run may be asked to do. The last is the most urgent. */
const BY_URGENCY = ["move", "pause", "shutdown", "cancel"] as const;
type Wanted = (typeof BY_URGENCY)[number];

/** The run was asked to cancel its job, and need not finish what it does. */
class Cancelled extends Error {}

export class Run implements Running {
  readonly lease: Lease;
  readonly trace: RunTrace;
  readonly #options: TrainingOptions;
  readonly #log: Logger;
  readonly #gone = new AbortController();
  /** How long the run may write at all: until it loses the job. */
  readonly #life: Life;
  /** How long it trains: until it loses the job or is interrupted. */
  readonly #course: Life;
  readonly #interruption = new AbortController();
  readonly #interrupted = Promise.withResolvers<never>();
  readonly #reporter: Reporter;
  readonly #heartbeat: Heartbeat;
  readonly #endings: Endings;
  #wanted: Wanted | null = null;
  /** Resolves when the run is first asked to stop. */
  readonly #stopAsked = Promise.withResolvers<null>();
  #away = false;
  #stateBytes = 0;
  #crew: Crew | null = null;
  readonly #watch: StageWatch;
  #checkpoints: Checkpoints | null = null;
  #final: Promise<StateFile> | null = null;
  #progress: RunProgress | null = null;

  constructor(lease: Lease, options: TrainingOptions) {
    this.lease = lease;
    this.trace = options.trace(lease);
    this.#options = options;
    this.#log = options.log.child({ job_id: lease.jobId, run: lease.run });
    this.#life = { gone: this.#gone.signal, log: this.#log };
    this.#course = { gone: this.#interruption.signal, log: this.#log };
    this.#interrupted.promise.catch(() => undefined);
    this.#watch = new StageWatch(
      "preparing",
      () => this.#activity(),
      () => this.#away,
    );
    this.#reporter = new Reporter(
      lease,
      () => this.#progressNow(),
      this.#log,
      (error) => this.#interrupt(error),
    );
    const { finish } = options;
    this.#endings = new Endings(
      lease,
      this.#reporter,
      this.#life,
      () => this.#heartbeat.lastWriteBegins(),
      finish && ((ending, rows) => finish(lease, ending, rows)),
    );
    this.#heartbeat = new Heartbeat(
      lease,
      options.leaseMs,
      () => this.#blame(),
      {
        status: (status) => this.onStatus(status),
        away: () => this.#hold(),
        back: () => this.#continue(),
        lost: (silenced) => {
          if (silenced) lease.retractCrash().catch(() => undefined);
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
      // Ends whatever is still unfinished.
      this.abandon(new LeaseLost("the run has ended"));
    }
  }

  shutdown(): void {
    this.#want("shutdown");
  }

  /** The job is no small job, and must go on as an ordinary one. */
  move(): void {
    this.#want("move");
  }

  onStatus(status: JobStatus): void {
    if (status === "cancelling") this.#want("cancel");
    if (status === "pausing") this.#want("pause");
  }

  checkStatus(): void {
    this.#heartbeat.renewNow();
  }

  assertMoving(): void {
    const still = this.#watch.still(this.lease.jobId);
    if (still !== null) throw new Error(still);
  }

  abandon(reason: Error): void {
    this.#gone.abort(reason);
    this.#interrupt(reason);
  }

  async drop(): Promise<void> {
    this.abandon(new Error("the process ends"));
    const message = "The worker had to shut down before the job could stop; another one goes on.";
    await this.lease.release({ type: "requeued", message, step: null, data: null });
  }

  /** Stops the training in any stage, for this reason. */
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

  /** A number that grows as long as Redis answers and data arrive. */
  #activity(): number {
    return this.lease.answered + (this.#options.cache?.received ?? 0);
  }

  async #train(): Promise<RunEnd> {
    const work = await this.#uninterrupted(persist(this.#course, () => this.lease.work(this.#options.work)));
    // What was asked after the job was taken, and before this run listened.
    this.onStatus(work.status);
    const preparing = prepare(this.lease, work, this.#options.readData, this.#course);
    preparing.catch(() => undefined);
    const prepared = await this.#uninterrupted(Promise.race([preparing, this.#stopAsked.promise]));
    if (prepared === null) return await this.#stopped();
    this.#stateBytes = work.stateBytes;
    const committed = () => this.#options.committed(this);
    this.#checkpoints = new Checkpoints(this.lease, work.spec, this.#reporter, this.#course, this.trace, committed);
    const outcome = await this.#withThreads(work.spec, (threads) => this.#runCrews(threads, prepared));
    return await this.#conclude(outcome, prepared);
  }

  async #withThreads<T>({ resources }: ResolvedSpec, use: (count: number) => Promise<T>): Promise<T> {
    const count = this.#options.threads.take(resources.threads);
    try {
      return await use(count);
    } finally {
      this.#options.threads.giveBack(count);
    }
  }

  /** Runs one crew after the other. Each begins where the divergence of the one before leads. */
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
    this.#enter("preparing", () => this.#activity());
    const back = await this.#uninterrupted(rewind(writers, work, outcome, change));
    this.#log.info({ ...change, from: resumesFrom(back)?.step ?? 0 }, "rewound");
    const start = await this.#uninterrupted(readStart(this.lease, back, this.#course));
    return await this.#runCrews(threads, { ...prepared, ...start });
  }

  async #runCrew(threads: number, { work, training, state, weights }: Prepared): Promise<Outcome> {
    const { spec } = work;
    const { every_steps: everySteps, every_seconds: everySeconds, at_start } = spec.checkpoint;
    this.#crew = null;
    this.#progress = new RunProgress(training, resumesFrom(work), findingsOf(work));
    // A job with a checkpoint needs none of its start.
    const atStart = at_start && work.checkpoint === null;
    const { hands } = this.#options;
    const options = { threads, everySteps, atStart, state, weights, changes: changesOf(work), hands };
    const crew = await Crew.start(training, options, this.#handlers(spec)).catch((error: unknown) => {
      const from = work.checkpoint ?? work.origin;
      // If a plan was impossible, or there was no memory, the checkpoint is not to blame.
      const otherwise = error instanceof PlanError || isShortage(error);
      if (from === null || otherwise) throw error;
      throw unreadable(from.step, (error as Error).message);
    });
    this.#gone.signal.throwIfAborted();
    this.#crew = crew;
    for (const finding of crew.findings) this.#progress!.diagnosed(finding);
    this.#log.info({ threads, step: resumesFrom(work)?.step ?? 0 }, "training");
    if (this.#away) crew.suspend();
    if (this.#wanted !== null) this.#stop();
    // A spec of an earlier version may ask for longer than a timer can wait.
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
    return crewHandlers(spec, {
      reporter: this.#reporter,
      progress: this.#progress!,
      trace: this.trace,
      checkpoints: this.#checkpoints!,
      final: (state) => {
        this.#final = state;
      },
    });
  }

  async #conclude(outcome: Outcome, { work: { spec, isPooled }, encoding }: Prepared): Promise<RunEnd> {
    if (outcome.type === "stopped") return await this.#stopped();
    if (outcome.type === "diverged") {
      this.#progress!.diagnosed(outcome.finding);
      throw diverged(outcome);
    }
    await this.#uninterrupted(this.#checkpoints!.idle());
    const state = await this.#uninterrupted(this.#final!);
    const notes = { ...notesOn(layersOf(this.#crew!.plan), encoding), evaluation: outcome.reports };
    const finished = { outcome, spec, state, notes, isPooled };
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
      // A checkpoint that is still being written need not be finished: it will find the job ended.
      await this.#endings.cancelled(progress);
      this.#log.info({ step: progress?.step }, "job cancelled");
      return "ended";
    }
    if (this.#checkpoints !== null) await this.#uninterrupted(this.#checkpoints.idle());
    const large = this.#wanted === "move";
    const why = large ? "It takes longer than was estimated" : "The worker is shutting down; another one goes on";
    const status = await this.#endings.released(`${why}.`, progress, false, large);
    this.#log.info({ step: progress?.step, status }, "job given back");
    return status === "queued" ? "released" : "ended";
  }

  async #fail(error: unknown): Promise<RunEnd> {
    if (this.#gone.signal.aborted || error instanceof LeaseLost) throw error;
    this.trace.enter("ending");
    if (error instanceof Cancelled) return await this.#stopped();
    if (error instanceof DatasetUnreachable || isShortage(error)) return await this.#postponed(error as Error);
    const failure = error instanceof JobFailure ? error : unexpected(error);
    this.trace.failed(failure.code, failure.message);
    if (failure === error) this.#log.warn({ code: failure.code, reason: failure.message }, "job failed");
    else this.#log.error({ err: error }, "job failed");
    if (this.#checkpoints !== null) await this.#uninterrupted(this.#checkpoints.idle()).catch(() => undefined);
    await this.#endings.failed(failure, this.#progressNow());
    return "ended";
  }

  /**
   * Gives back a job whose data cannot be read here, or for which there is no memory. Another
   * worker may have them, or this one may get them later. The owner's other jobs need not wait for
   * that.
   */
  async #postponed(error: Error): Promise<RunEnd> {
    const message = isShortage(error) ? NO_MEMORY : error.message;
    this.#log.warn({ reason: error.message }, "job given back");
    if (this.#checkpoints !== null) await this.#uninterrupted(this.#checkpoints.idle()).catch(() => undefined);
    const status = await this.#endings.released(message, this.#progressNow(), true);
    return status === "queued" ? "postponed" : "ended";
  }

  #want(what: Wanted): void {
    if (this.#wanted !== null && BY_URGENCY.indexOf(what) <= BY_URGENCY.indexOf(this.#wanted)) return;
    this.#wanted = what;
    this.#stopAsked.resolve(null);
    this.#stop();
    if (what === "cancel") this.#interrupt(new Cancelled("the job is to be cancelled"));
    // Tells the record that a death from now on is no crash.
    if (what === "shutdown") this.checkStatus();
  }

  #blame(): Blame {
    if (this.#wanted === "shutdown") return "none";
    return this.#options.alone() ? "own" : "shared";
  }

  #stop(): void {
    const quick = this.#stateBytes <= SHUTDOWN_STATE_BYTES;
    this.#crew?.stop({ snapshot: this.#wanted !== "cancel" && (this.#wanted !== "shutdown" || quick) });
  }

  #hold(): void {
    this.#log.warn("Redis is away: holding");
    this.#away = true;
    this.#crew?.suspend();
  }

  #continue(): void {
    this.#log.info("Redis is back: going on");
    this.#away = false;
    this.#crew?.resume();
  }

  /** Null until the crew begins. */
  #progressNow(): ProgressReport | null {
    return this.#progress && this.#progress.at(this.#crew?.progress().step ?? null);
  }
}
