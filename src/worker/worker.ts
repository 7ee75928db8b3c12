/**
 * Takes deliveries from the queue and runs the jobs they speak of.
 *
 * What a delivery is worth is for the record to say. If the job cannot be had just now (another run
 * holds it, or it must run alone and this worker is busy) the delivery goes back with a delay; it
 * is never failed, and completed only once there is nothing left to run. A run that lost its job
 * leaves the delivery alone, since it belongs to someone else by then.
 *
 * A job whose last run died runs alone, so that it takes no other with it if it kills this process
 * too. It would wait for ever in a busy queue, so while it keeps coming back the worker takes
 * nothing else.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { DelayedError, WaitingError, Worker, type Job } from "bullmq";
import type { Redis } from "ioredis";
import type { Logger } from "../log.ts";
import { meters } from "../meters.ts";
import type { Control } from "../queue/control.ts";
import { queue, type Delivery } from "../queue/deliveries.ts";
import { Retry } from "../retries.ts";
import { beginRun, type Begun } from "../runner/begin.ts";
import type { Sources } from "../runner/prepare.ts";
import type { Run, RunEnd } from "../runner/run.ts";
import { Threads } from "../runner/threads.ts";
import { untraced, type RunTraces } from "../runner/trace.ts";
import { Presence, type Doing } from "./presence.ts";

/** After which a delivery comes again that this worker does not look at now. */
const RETRY_MS = 1000;
/** After which a job comes again whose data could not be had. */
const POSTPONED_MS = 5000;
/** How long it may take to give back what did not stop in time. */
const DROP_MS = 500;
/** How long nothing else is taken for the sake of a job that wants to run alone. */
const RESERVED_MS = 5000;
/** After which BullMQ asks again for deliveries when Redis was away; its default is 15 s. */
const RECONNECT_MS = 500;
/**
 * BullMQ says what goes wrong, again and again, and not that it works again: after such a silence
 * it does.
 */
const QUIET_MS = 15_000;

export interface TrainingWorkerOptions extends Sources {
  /**
   * Connections of its own, which wait for Redis (maxRetriesPerRequest: null); closed by `close`.
   */
  redis: Redis;
  control: Control;
  log: Logger;
  leaseMs: number;
  /** Jobs at once. */
  jobs: number;
  /** Training threads in all. */
  threads: number;
  traces?: RunTraces;
  quietMs?: number;
}

export interface ClosingReason {
  /**
   * An error that nobody caught ends the process, and a job may have caused it. So no job is given
   * back: their leases lapse, which counts (crash_loop), and such a job does not go round for ever.
   */
  readonly broken: boolean;
}

export class TrainingWorker {
  readonly #options: TrainingWorkerOptions;
  readonly #threads: Threads;
  readonly #worker: Worker<Delivery>;
  readonly #presence: Presence;
  readonly #deliveries: Retry;
  #quiet: NodeJS.Timeout | undefined;
  readonly #runs = new Set<Run>();
  /** Deliveries are looked at one after the other. */
  #turn: Promise<unknown> = Promise.resolve();
  /** The run that must have the process to itself. */
  #alone: Run | null = null;
  /** A job that wants to run alone, and until when nothing else is taken for its sake. */
  #reserved = { jobId: "", until: 0 };
  #closing = false;

  constructor(options: TrainingWorkerOptions) {
    this.#options = options;
    this.#deliveries = new Retry("delivery", options.log);
    this.#threads = new Threads(options.threads);
    this.#worker = new Worker<Delivery>(queue.name, (job, token) => this.#process(job, token!), {
      connection: options.redis,
      prefix: queue.prefix,
      concurrency: options.jobs,
      lockDuration: options.leaseMs,
      // The run's heartbeat does it.
      skipLockRenewal: true,
      stalledInterval: options.leaseMs / 2,
      // How often a job may kill its worker is for the record to say.
      maxStalledCount: Number.MAX_SAFE_INTEGER,
      runRetryDelay: RECONNECT_MS,
    });
    this.#worker.on("error", (error) => this.#noDelivery(error));
    // The reconciler delivers it again.
    this.#worker.on("failed", (_delivery, error) => this.#noDelivery(error));
    this.#presence = new Presence(options.store.overview, () => this.#doing(), options.log);
  }

  /** Resolves once it looks for deliveries. */
  async ready(): Promise<void> {
    await this.#worker.waitUntilReady();
  }

  /** @throws Error if a crew stands still: only a new process helps then */
  assertMoving(): void {
    for (const run of this.#runs) run.assertMoving();
  }

  #doing(): Doing {
    const running = [...this.#runs].map(({ lease: { jobId, owner } }) => ({ id: jobId, owner }));
    const { busy, total } = this.#threads;
    return { draining: this.#closing, threads: { busy, total }, max_jobs: this.#options.jobs, running };
  }

  /**
   * Gives back what it runs and takes nothing more. What does not stop in time is left to whoever
   * finds its lease lapsed.
   */
  async close(withinMs: number, { broken }: ClosingReason): Promise<void> {
    this.#closing = true;
    this.#presence.tell();
    const closed = this.#worker.close().then(() => true);
    for (const run of this.#runs) {
      if (broken) run.abandon(new Error("the process broke"));
      else run.shutdown();
    }
    if (!(await Promise.race([closed, sleep(withinMs, false, { ref: false })]))) {
      this.#options.log.warn({ jobs: [...this.#runs].map((run) => run.lease.jobId) }, "not all jobs stopped in time");
      const dropped = Promise.allSettled([...this.#runs].map((run) => run.drop()));
      await Promise.race([dropped, sleep(DROP_MS, null, { ref: false })]);
    }
    await this.#presence.close();
    clearTimeout(this.#quiet);
    this.#deliveries.gaveUp();
    this.#options.redis.disconnect();
  }

  #noDelivery(error: Error): void {
    this.#deliveries.failed(error);
    clearTimeout(this.#quiet);
    this.#quiet = setTimeout(() => this.#deliveries.worked(), this.#options.quietMs ?? QUIET_MS).unref();
  }

  async #process(delivery: Job<Delivery>, token: string): Promise<void> {
    const begun = await this.#inTurn(() => this.#begin(delivery, token));
    if (begun.outcome === "later" && begun.away) this.#noDelivery(begun.away);
    else this.#deliveries.worked();
    if (begun.outcome === "done") return;
    if (begun.outcome !== "run") return await putOff(delivery, begun.waitMs, token);
    const ended = meters.runSeconds.startTimer();
    const end = await this.#execute(begun.run);
    ended({ end });
    begun.run.trace.ended(end);
    if (end === "ended") return;
    if (end === "postponed") return await putOff(delivery, POSTPONED_MS, token);
    // If the lock has lapsed the delivery is on its way to somebody else, which is as good.
    if (end === "released") await this.#giveBack(delivery, token).catch(() => undefined);
    throw new WaitingError();
  }

  /**
   * What was begun goes before everything that waits; and BullMQ would wake no idle worker for a
   * delivery with a priority.
   */
  async #giveBack(delivery: Job<Delivery>, token: string): Promise<void> {
    await delivery.changePriority({ priority: 0 });
    await delivery.moveToWait(token);
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return await result;
  }

  async #begin(delivery: Job<Delivery>, token: string): Promise<Begun> {
    const jobId = delivery.data.job_id;
    const reserved = performance.now() < this.#reserved.until && this.#reserved.jobId !== jobId;
    if (this.#closing || this.#alone !== null || reserved) return { outcome: "later", waitMs: RETRY_MS };
    const begun = await beginRun(delivery.data, this.#runs.size === 0, {
      ...this.#options,
      threads: this.#threads,
      trace: (lease) => this.#options.traces?.trace(lease, contextFor(delivery, lease.jobId)) ?? untraced,
      renewLock: (leaseMs) => delivery.extendLock(token, leaseMs),
      alone: () => this.#runs.size === 1,
      committed: (run) => this.#committed(run),
    });
    if (begun.outcome === "alone") this.#reserved = { jobId, until: performance.now() + RESERVED_MS };
    if (begun.outcome === "newer") this.#retire();
    if (begun.outcome === "run") {
      if (begun.alone) this.#alone = begun.run;
      this.#runs.add(begun.run);
      // If the process dies from now on, it may be by the new one.
      for (const run of this.#runs) run.look();
      meters.runs.set(this.#runs.size);
    }
    return begun;
  }

  /** A later version has upgraded the store: what this one has begun is all that it does. */
  #retire(): void {
    if (this.#worker.isPaused()) return;
    this.#options.log.error("this worker takes no more jobs: a later version has upgraded the store");
    void this.#worker.pause(true);
  }

  async #execute(run: Run): Promise<RunEnd> {
    const { control, log } = this.#options;
    const { jobId } = run.lease;
    control.listen(jobId, (status) => run.told(status));
    // What arrived between the acquisition and now.
    run.look();
    if (this.#closing) run.shutdown();
    try {
      return await run.execute();
    } catch (error) {
      // Its lease lapses, and the job is taken over as if this process had died.
      log.error({ err: error, job_id: jobId }, "a run broke off");
      return "lost";
    } finally {
      control.unlisten(jobId);
      this.#runs.delete(run);
      meters.runs.set(this.#runs.size);
      this.#committed(run);
    }
  }

  /**
   * A run that got past the point at which the one before it died, or ended, need not be alone any
   * longer.
   */
  #committed(run: Run): void {
    if (this.#alone === run) this.#alone = null;
  }
}

/** What led to this delivery; that means nothing if its turn went to another job. */
function contextFor(delivery: Job<Delivery>, jobId: string): string | undefined {
  return delivery.data.job_id === jobId ? delivery.opts.telemetry?.metadata : undefined;
}

/** Has BullMQ deliver it again after a while. */
async function putOff(delivery: Job<Delivery>, waitMs: number, token: string): Promise<never> {
  await delivery.moveToDelayed(Date.now() + waitMs, token);
  throw new DelayedError();
}
