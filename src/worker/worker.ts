/**
 * Takes jobs and runs them.
 *
 * A worker has places, one for each job that it runs at once. A wake-up from the queue brings a
 * place to life: it claims jobs and runs them until there are none. If more wait than it claims, it
 * adds the next wake-up for another place, here or elsewhere. A wake-up never fails. While Redis is
 * away the place asks again.
 *
 * A job whose last run died runs alone, so that it takes no other job with it if it kills this
 * process too. A job for which the others leave too little memory waits until they have ended. In a
 * busy queue both would wait for ever. So while such a job waits for this worker (claim.lua), the
 * worker takes nothing else.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { WaitingError, Worker, type Job } from "bullmq";
import type { Redis } from "ioredis";
import type { Logger } from "../log.ts";
import { meters } from "../meters.ts";
import type { Control } from "../queue/control.ts";
import { queue, type WakeUp, type WakeUps } from "../queue/wake-ups.ts";
import { Retry } from "../retries.ts";
import { askForJobs, beginClaimed, isAway, runOf, type Claimed, type Place, type Taken } from "../runner/begin.ts";
import type { Sources } from "../runner/prepare.ts";
import { isSmall, Lane, LaneRun } from "../runner/lane.ts";
import { IdleLanes } from "../runner/lanes.ts";
import type { RunOptions } from "../runner/options.ts";
import type { RunEnd, Running } from "../runner/running.ts";
import { Threads } from "../runner/threads.ts";
import { untraced, type RunTraces } from "../runner/trace.ts";
import { Presence, type Activity } from "./presence.ts";

/** How long to wait before asking again. */
const RETRY_MS = 1000;
/** How often a claim is renewed while it lasts. */
const BEATS_PER_LEASE = 4;
/** How long it may take to give back jobs that did not stop in time. */
const DROP_MS = 500;
/**
 * How long BullMQ waits before it asks again for wake-ups when Redis was away. Its default is 15 s.
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
  /** Where the threads of small jobs connect to Redis. */
  redisUrl: string;
  control: Control;
  queue: WakeUps;
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

/** A run that has begun, and the jobs that go after it in the same place. */
interface Begun {
  /** That of the claim. */
  readonly token: string;
  readonly run: Running;
  readonly rest: readonly Claimed[];
}

export class TrainingWorker {
  readonly #options: TrainingWorkerOptions;
  readonly #threads: Threads;
  readonly #worker: Worker<WakeUp>;
  readonly #presence: Presence;
  readonly #deliveries: Retry;
  #quiet: NodeJS.Timeout | undefined;
  /** The runs, and the bytes of memory that each takes. */
  readonly #runs = new Map<Running, number>();
  /** How many there are, for the threads of small jobs. */
  readonly #count = new Int32Array(new SharedArrayBuffer(4));
  readonly #idleLanes: IdleLanes;
  /** Tells this worker from others. */
  readonly #id = randomUUID();
  /** The places ask for jobs one after the other. */
  #turn: Promise<unknown> = Promise.resolve();
  /** The run that must have the process to itself. */
  #alone: Running | null = null;
  /** Resolves when a run ends or need not be alone any more, or when the worker closes. */
  #change = Promise.withResolvers<void>();
  #closing = false;

  constructor(options: TrainingWorkerOptions) {
    this.#options = options;
    this.#deliveries = new Retry("delivery", options.log);
    this.#threads = new Threads(options.threads);
    this.#idleLanes = new IdleLanes(() => new Lane({ ...options, threads: this.#threads, runs: this.#count }));
    this.#worker = new Worker<WakeUp>(queue.name, (wakeUp, token) => this.#process(wakeUp, token!), {
      connection: options.redis,
      prefix: queue.prefix,
      concurrency: options.jobs,
      lockDuration: options.leaseMs,
      stalledInterval: options.leaseMs / 2,
      // The records count how often a job kills its worker.
      maxStalledCount: Number.MAX_SAFE_INTEGER,
      runRetryDelay: RECONNECT_MS,
    });
    this.#worker.on("error", (error) => this.#noDelivery(error));
    // The reconciler will wake a worker again.
    this.#worker.on("failed", (_wakeUp, error) => this.#noDelivery(error));
    this.#presence = new Presence(options.store.overview, () => this.#activity(), options.log);
  }

  /** Resolves when the worker has begun to look for wake-ups. */
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
    this.#changed();
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
    await this.#idleLanes.endIdle();
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

  async #process(wakeUp: Job<WakeUp>, token: string): Promise<void> {
    let delivered = wakeUp.data.owner;
    for (;;) {
      const claim = await this.#inTurn(() => this.#claim(delivered));
      if (claim === null) break;
      delivered = undefined;
      const beats = this.#keep(claim);
      await this.#runAll(claim).finally(() => clearInterval(beats));
    }
    if (!this.#closing) return;
    // What was given back wakes another worker. If the lock has lapsed, the wake-up already goes to
    // one, which is just as good.
    await wakeUp.moveToWait(token).catch(() => undefined);
    throw new WaitingError();
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return await result;
  }

  /** Waits until there is a job for this worker. Null: there is none, or the worker closes. */
  async #claim(delivered: string | undefined): Promise<Begun | null> {
    while (!this.#closing) {
      if (this.#alone !== null) {
        await this.#change.promise;
        continue;
      }
      const token = randomUUID();
      const ask = () => askForJobs(this.#options.store, { token, worker: this.#id, delivered, ...this.#place() });
      const claim = await this.#answered(ask);
      if (claim?.wake) await this.#wakeNext();
      if (claim?.outcome === "taken")
        return { run: this.#begin(claim.first, token, claim.rest), token, rest: claim.rest };
      if (claim?.outcome === "newer") this.#retire();
      if (claim?.outcome !== "alone") return null;
      // It gets the job when it is idle, unless another worker has taken it by then.
      await Promise.race([this.#change.promise, sleep(RETRY_MS, null, { ref: false })]);
    }
    return null;
  }

  /**
   * Asks for jobs, with the same token until there is an answer: the one before may be lost, and
   * the jobs ours. Null: the worker closes before that.
   */
  async #answered<T>(ask: () => Promise<T>): Promise<T | null> {
    while (!this.#closing) {
      try {
        const answer = await ask();
        this.#deliveries.worked();
        return answer;
      } catch (error) {
        if (!isAway(error)) throw error;
        this.#noDelivery(error);
      }
      await Promise.race([this.#change.promise, sleep(RETRY_MS, null, { ref: false })]);
    }
    return null;
  }

  #place(): Place {
    const { leaseMs, memoryBytes } = this.#options;
    const taken = [...this.#runs.values()].reduce((sum, bytes) => sum + bytes, 0);
    const idle = this.#runs.size === 0;
    return { leaseMs, idle, memoryLeft: memoryBytes - taken };
  }

  /** If it fails, the reconciler wakes the next one. */
  async #wakeNext(): Promise<void> {
    await this.#options.queue.add().catch((error: unknown) => this.#noDelivery(error as Error));
  }

  #begin(taken: Taken, token: string, rest: readonly Claimed[]): Running {
    const run = isSmall(taken) ? this.#inLane(this.#idleLanes.take(), taken, { token, rest }) : this.#run(taken);
    if (taken.alone) this.#alone = run;
    // The run that was alone so far is no longer: if the process dies from now on, the new one may
    // be the cause. The record must know. The records of the others know it already.
    if (this.#runs.size === 2) for (const other of this.#runs.keys()) if (other !== run) other.checkStatus();
    return run;
  }

  #run(taken: Taken): Running {
    const run = runOf(taken, {
      ...this.#options,
      threads: this.#threads,
      trace: this.#traceOf(taken),
      alone: () => this.#runs.size === 1,
      committed: (run) => this.#committed(run),
    });
    this.#began(run, taken);
    return run;
  }

  /** `claim`: what the lane is to run with this job. Null: it runs the job already. */
  #inLane(lane: Lane, taken: Taken, claim: ConstructorParameters<typeof LaneRun>[2]): LaneRun {
    const run = new LaneRun(lane, taken, claim, this.#traceOf(taken));
    this.#began(run, taken);
    return run;
  }

  #began(run: Running, { memoryBytes, waitedMs }: Taken): void {
    this.#runs.set(run, memoryBytes);
    this.#counted();
    if (waitedMs !== null) meters.queueWait.observe(waitedMs / 1000);
  }

  #traceOf({ trace }: Taken): RunOptions["trace"] {
    return (lease) => this.#options.traces?.trace(lease, trace) ?? untraced;
  }

  #counted(): void {
    meters.runs.set(this.#runs.size);
    Atomics.store(this.#count, 0, this.#runs.size);
  }

  /** Runs what was claimed, one job after the other. A lane does this itself. */
  async #runAll({ token, run, rest }: Begun): Promise<void> {
    await this.#runToEnd(run);
    if (run instanceof LaneRun) return;
    for (const [i, claimed] of rest.entries()) {
      // If Redis is away, the claim lapses.
      if (this.#closing || this.#alone !== null)
        return void (await this.#options.store.giveUp(token, rest.slice(i)).catch(() => undefined));
      const begun = await this.#inTurn(() => this.#beginNext(claimed));
      if (begun !== null) await this.#runToEnd(begun);
    }
  }

  /** When a job in a lane has ended, the lane begins the next of its claim. */
  async #runToEnd(first: Running): Promise<void> {
    if (!(first instanceof LaneRun)) return await this.#runOne(first);
    const { lane } = first;
    for (let run: LaneRun | null = first; run !== null; run = run.following) await this.#runOne(run);
    if (!lane.alive) return;
    if (this.#closing) await lane.close(new Error("the process ends"));
    else this.#idleLanes.giveBack(lane);
  }

  /** Keeps the claim from lapsing while its jobs wait for each other. */
  #keep({ token, rest }: Begun): NodeJS.Timeout | undefined {
    if (rest.length === 0) return;
    const { store, leaseMs } = this.#options;
    const beat = () => {
      store.renew(leaseMs, [], [token]).catch((error: unknown) => this.#noDelivery(error as Error));
    };
    return setInterval(beat, leaseMs / BEATS_PER_LEASE);
  }

  /** Null: the job is not ours any more, or must wait, or the worker closes. */
  async #beginNext(claimed: Claimed): Promise<Running | null> {
    if (this.#alone !== null) return null;
    const begun = await this.#answered(() => beginClaimed(this.#options.store, claimed, this.#place()));
    return begun?.outcome === "taken" ? this.#begin(begun.taken, "", []) : null;
  }

  async #runOne(run: Running): Promise<void> {
    const ended = meters.runSeconds.startTimer();
    const end = await this.#execute(run);
    ended({ end });
    run.trace.ended(end);
    // There may have been no memory for it.
    if (end === "postponed") void this.#idleLanes.giveUpMemory();
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
      // The lane has begun its next job. The worker must not look idle in between.
      if (run instanceof LaneRun && run.next !== null) run.following = this.#inLane(run.lane, run.next, null);
      this.#counted();
      this.#committed(run);
      this.#changed();
    }
  }

  /**
   * A run that got past the point where the one before it died, or that ended, need not be alone
   * any more.
   */
  #committed(run: Running): void {
    if (this.#alone !== run) return;
    this.#alone = null;
    this.#changed();
  }

  #changed(): void {
    this.#change.resolve();
    this.#change = Promise.withResolvers();
  }
}
