/**
 * A run that keeps nothing before its end: the next one begins again, and writes the same bytes. So
 * it need not stop at any particular place, and what ends it early disturbs no other run.
 */
import type { Logger } from "../log.ts";
import type { JobStatus } from "../contract/wire/job.ts";
import { DatasetUnreachable } from "../data/files/cache.ts";
import { diskFault } from "../disk-fault.ts";
import { isShortage } from "../engine/crew/shortage.ts";
import { meters } from "../meters.ts";
import { LeaseLost } from "../store/errors.ts";
import type { Lease } from "../store/lease.ts";
import type { ProgressReport } from "../store/record.ts";
import { Endings, type Finish } from "./endings.ts";
import { JobFailure, NO_MEMORY, unexpected } from "./failures.ts";
import { Heartbeat } from "./heartbeat.ts";
import type { RunOptions } from "./options.ts";
import type { Life } from "./persist.ts";
import { Reporter } from "./reporter.ts";
import type { RunEnd, Running } from "./running.ts";
import { StageWatch } from "./standstill.ts";
import type { RunTrace } from "./trace.ts";

/** The run was asked to stop. */
class Stopped extends Error {
  readonly wanted: "shutdown" | "pause" | "cancel";

  constructor(wanted: Stopped["wanted"]) {
    super(wanted);
    this.wanted = wanted;
  }
}

export abstract class WholeRun implements Running {
  readonly lease: Lease;
  readonly trace: RunTrace;
  protected readonly log: Logger;
  /** How long it may write. */
  protected readonly life: Life;
  protected readonly endings: Endings;
  protected readonly watch: StageWatch;
  readonly #options: RunOptions;
  /** Aborts when the run may write no more. */
  readonly #gone = new AbortController();
  /** Aborts when it must not go on. */
  readonly #stop = new AbortController();
  readonly #stopped = Promise.withResolvers<never>();
  readonly #reporter: Reporter;
  readonly #heartbeat: Heartbeat;
  #away = false;

  /** @param finish writes the end; default: nothing more than that */
  constructor(lease: Lease, options: RunOptions, finish?: Finish) {
    this.lease = lease;
    this.trace = options.trace(lease);
    this.#options = options;
    this.log = options.log.child({ job_id: lease.jobId, run: lease.run });
    this.life = { gone: this.#gone.signal, log: this.log };
    this.#stopped.promise.catch(() => undefined);
    this.watch = new StageWatch(
      "preparing",
      () => this.activity(),
      () => this.#away,
    );
    this.#reporter = new Reporter(
      lease,
      () => this.progress(),
      this.log,
      (error) => this.#interrupt(error),
    );
    this.endings = new Endings(lease, this.#reporter, this.life, () => this.#heartbeat.lastWriteBegins(), finish);
    this.#heartbeat = new Heartbeat(
      lease,
      options.leaseMs,
      () => this.#blame(),
      {
        status: (status) => this.onStatus(status),
        // It needs Redis only at its end, and waits for it then.
        away: () => (this.#away = true),
        back: () => (this.#away = false),
        lost: (silenced) => {
          if (silenced) lease.retractCrash().catch(() => undefined);
          this.abandon(new LeaseLost("the lease lapsed, and another run has the work"));
        },
        broken: (error) => this.#interrupt(error),
      },
      this.log,
    );
  }

  /** Does all there is to do, and writes the end. */
  protected abstract work(): Promise<RunEnd>;

  /** Null: there is none to report. */
  protected abstract progress(): ProgressReport | null;

  /** Aborts when the run is to stop, for the reason that it gives. */
  protected get stop(): AbortSignal {
    return this.#stop.signal;
  }

  /** A number that grows as long as Redis answers and data arrive. */
  protected activity(): number {
    return this.lease.answered + (this.#options.cache?.received ?? 0);
  }

  /** Waits for `work` unless the run is to stop. */
  protected async unlessStopped<T>(work: Promise<T>): Promise<T> {
    work.catch(() => undefined);
    return await Promise.race([work, this.#stopped.promise]);
  }

  async execute(): Promise<RunEnd> {
    // Learns what was asked since the job was taken.
    this.checkStatus();
    try {
      return await this.work().catch((error: unknown) => this.#ended(error));
    } catch (error) {
      const { aborted, reason } = this.#gone.signal;
      const lost = (aborted ? reason : error) instanceof LeaseLost;
      if (!aborted && !lost) throw error;
      if (lost) meters.leaseLosses.inc();
      this.log.warn({ reason: (error as Error).message }, "run dropped");
      return "lost";
    } finally {
      this.#heartbeat.close();
      this.#reporter.stop();
      this.watch.close();
      this.abandon(new LeaseLost("the run has ended"));
    }
  }

  shutdown(): void {
    this.#interrupt(new Stopped("shutdown"));
    // Tells the record that a death from now on is no crash.
    this.checkStatus();
  }

  onStatus(status: JobStatus): void {
    if (status === "cancelling") this.#interrupt(new Stopped("cancel"));
    if (status === "pausing") this.#interrupt(new Stopped("pause"));
  }

  checkStatus(): void {
    this.#heartbeat.renewNow();
  }

  assertMoving(): void {
    const still = this.watch.still(this.lease.jobId);
    if (still !== null) throw new Error(still);
  }

  abandon(reason: Error): void {
    this.#gone.abort(reason);
    this.#interrupt(reason);
  }

  async drop(): Promise<void> {
    this.abandon(new Error("the process ends"));
    const message = "The worker had to shut down; another one begins again.";
    await this.lease.release({ type: "requeued", message, step: null, data: null });
  }

  #interrupt(reason: unknown): void {
    this.#stop.abort(reason);
    this.#stopped.reject(reason);
  }

  /** @throws LeaseLost, and the error if it is ours */
  async #ended(error: unknown): Promise<RunEnd> {
    if (this.#gone.signal.aborted || error instanceof LeaseLost) throw error;
    this.trace.enter("ending");
    const progress = this.progress();
    if (error instanceof Stopped && error.wanted === "cancel") {
      await this.endings.cancelled(progress);
      this.log.info("cancelled");
      return "ended";
    }
    if (error instanceof Stopped) return await this.#released("The worker is shutting down; another one begins again.");
    if (error instanceof DatasetUnreachable) return await this.#released(error.message, true);
    const fault = diskFault(error);
    if (fault !== null) return await this.#released(`The disk that results are written to ${fault}.`, true);
    if (isShortage(error)) return await this.#released(NO_MEMORY, true);
    const failure = error instanceof JobFailure ? error : unexpected(error);
    this.trace.failed(failure.code, failure.message);
    if (failure === error) this.log.warn({ code: failure.code, reason: failure.message }, "failed");
    else this.log.error({ err: error }, "failed");
    await this.endings.failed(failure, progress);
    return "ended";
  }

  async #released(message: string, yields = false): Promise<RunEnd> {
    this.log.warn({ reason: message }, "given back");
    const status = await this.endings.released(message, null, yields);
    if (status !== "queued") return "ended";
    return yields ? "postponed" : "released";
  }

  #blame() {
    const { reason } = this.#stop.signal;
    if (reason instanceof Stopped && reason.wanted === "shutdown") return "none";
    return this.#options.alone() ? "own" : "shared";
  }
}
