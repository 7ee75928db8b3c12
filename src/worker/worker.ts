/**
 * Takes deliveries from the queue and runs their jobs.
 *
 * The record decides what a delivery means. If the job cannot be taken now (another run holds it,
 * or it must run alone and this worker is busy), the delivery goes back with a delay. A delivery
 * never fails, and completes only when there is nothing left to run. A run that lost its job leaves
 * the delivery alone, because it belongs to another worker by then.
 *
 * A job whose last run died runs alone, so that it takes no other job with it if it kills this
 * process too. A job for which the others leave too little memory waits until they have ended. In a
 * busy queue both would wait for ever. So while such a delivery keeps coming back, the worker takes
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
import type { RunEnd, Running } from "../runner/running.ts";
import { Threads } from "../runner/threads.ts";
import { untraced, type RunTraces } from "../runner/trace.ts";
import { Presence, type Activity } from "./presence.ts";

/** How long a delivery waits that this worker cannot look at now. */
const RETRY_MS = 1000;
/** How long a job waits whose data could not be read. */
const POSTPONED_MS = 5000;
/** How long it may take to give back jobs that did not stop in time. */
const DROP_MS = 500;
/** How long the worker takes nothing else while a job that must run alone may come back. */
const RESERVED_MS = 5000;
/**
 * How long BullMQ waits before it asks again for deliveries when Redis was away. Its default is 15
 * s.
 */
const RECONNECT_MS = 500;
/**
 * BullMQ reports each failure, but not that it works again. After so long without a failure it
 * counts as working.
 */
const QUIET_MS = 15_000;

export interface TrainingWorkerOptions extends Sources {
  /** A separate connection that waits for Redis (maxRetriesPerRequest: null). `close` closes it. */
  redis: Redis;
  control: Control;
  log: Logger;
  leaseMs: number;
  /** How many jobs it runs at once. */
  jobs: number;
  /** How much memory they may take together. A single job may take more. */
  memoryBytes: number;
  /** How many threads train in total. */
  threads: number;
  traces?: RunTraces;
  quietMs?: number;
}

export interface ClosingReason {
  /**
   * Whether an uncaught error ends the process. A job may have caused it. So no job is given back:
   * their leases lapse, which counts as a crash (crash_loop), and such a job does not return for
   * ever.
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
  /** The runs, and the bytes of memory that each takes. */
  readonly #runs = new Map<Running, number>();
  /** Deliveries are handled one after the other. */
  #turn: Promise<unknown> = Promise.resolve();
  /** The run that must have the process to itself. */
  #alone: Running | null = null;
  /** A job that must run alone, and until when the worker takes nothing else. */
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
      // The run's heartbeat renews the lock.
      skipLockRenewal: true,
      stalledInterval: options.leaseMs / 2,
      // The record counts how often a job kills its worker.
      maxStalledCount: Number.MAX_SAFE_INTEGER,
      runRetryDelay: RECONNECT_MS,
    });
    this.#worker.on("error", (error) => this.#noDelivery(error));
    // The reconciler will deliver the job again.
    this.#worker.on("failed", (_delivery, error) => this.#noDelivery(error));
    this.#presence = new Presence(options.store.overview, () => this.#activity(), options.log);
  }

  /** Resolves when the worker has begun to look for deliveries. */
  async ready(): Promise<void> {
    await this.#worker.waitUntilReady();
  }

  /** @throws Error if a crew stands still: then only a new process helps */
  assertMoving(): void {
    for (const run of this.#runs.keys()) run.assertMoving();
  }

  #activity(): Activity {
    const running = [...this.#runs.keys()].map(({ lease: { jobId, owner } }) => ({ id: jobId, owner }));
    const { busy, total } = this.#threads;
    return { draining: this.#closing, threads: { busy, total }, max_jobs: this.#options.jobs, running };
  }

  /**
   * Gives back its jobs and takes no more. A job that does not stop in time is taken by another
   * worker when its lease lapses.
   */
  async close(withinMs: number, { broken }: ClosingReason): Promise<void> {
    this.#closing = true;
    this.#presence.tell();
    const closed = this.#worker.close().then(() => true);
    for (const run of this.#runs.keys()) {
      if (broken) run.abandon(new Error("the process broke"));
      else run.shutdown();
    }
    if (!(await Promise.race([closed, sleep(withinMs, false, { ref: false })]))) {
      this.#options.log.warn(
        { jobs: [...this.#runs.keys()].map((run) => run.lease.jobId) },
        "not all jobs stopped in time",
      );
      const dropped = Promise.allSettled([...this.#runs.keys()].map((run) => run.drop()));
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
    // If the lock has lapsed, the delivery already goes to another worker, which is just as good.
    if (end === "released") await this.#giveBack(delivery, token).catch(() => undefined);
    throw new WaitingError();
  }

  /**
   * Puts a job that has begun before all that wait. Without a priority, because BullMQ wakes no
   * idle worker for a delivery with one.
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
    const taken = [...this.#runs.values()].reduce((sum, bytes) => sum + bytes, 0);
    const place = { idle: this.#runs.size === 0, memoryLeft: this.#options.memoryBytes - taken };
    const begun = await beginRun(delivery.data, place, {
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
      this.#runs.set(begun.run, begun.memoryBytes);
      // The run that was alone so far is no longer: if the process dies from now on, the new one
      // may be the cause. The record must know. The records of the others know it already.
      if (this.#runs.size === 2) for (const run of this.#runs.keys()) if (run !== begun.run) run.checkStatus();
      meters.runs.set(this.#runs.size);
    }
    return begun;
  }

  /**
   * A later version has upgraded the store: this worker finishes what it runs and takes no more.
   */
  #retire(): void {
    if (this.#worker.isPaused()) return;
    this.#options.log.error("this worker takes no more jobs: a later version has upgraded the store");
    void this.#worker.pause(true);
  }

  async #execute(run: Running): Promise<RunEnd> {
    const { control, log } = this.#options;
    const { jobId } = run.lease;
    control.listen(jobId, (status) => run.onStatus(status));
    if (this.#closing) run.shutdown();
    try {
      return await run.execute();
    } catch (error) {
      // The lease lapses, and another run takes the job as if this process had died.
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
   * A run that got past the point where the one before it died, or that ended, need not be alone
   * any more.
   */
  #committed(run: Running): void {
    if (this.#alone === run) this.#alone = null;
  }
}

/** The trace context of this delivery. It means nothing if another job took the turn. */
function contextFor(delivery: Job<Delivery>, jobId: string): string | undefined {
  return delivery.data.job_id === jobId ? delivery.opts.telemetry?.metadata : undefined;
}

/** Lets BullMQ deliver it again after a while. */
async function putOff(delivery: Job<Delivery>, waitMs: number, token: string): Promise<never> {
  await delivery.moveToDelayed(Date.now() + waitMs, token);
  throw new DelayedError();
}
