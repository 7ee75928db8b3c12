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
import { meters } from "../meters.ts";
import { queue, type WakeUp } from "../queue/wake-ups.ts";
import { Retry } from "../retries.ts";
import { askForJobs, beginClaimed, isAway, runOf, type Claimed, type Place, type Taken } from "../runner/begin.ts";
import { HeldJobs } from "../runner/held-jobs.ts";
import { isSmall, Lane, LaneRun } from "../runner/lane.ts";
import { IdleLanes } from "../runner/lanes.ts";
import type { RunOptions } from "../runner/options.ts";
import type { RunEnd, Running } from "../runner/running.ts";
import { Threads } from "../runner/threads.ts";
import { untraced } from "../runner/trace.ts";
import type { ClosingReason, TrainingWorkerOptions } from "./options.ts";
import { Presence, type Activity } from "./presence.ts";

/** How long to wait before asking again. */
const RETRY_MS = 1000;
/** How often a claim is renewed while it lasts. */
const BEATS_PER_LEASE = 4;
/**
 * A lane that has less than this much training left gets more, as far as it was estimated. The
 * answer to a claim takes some milliseconds.
 */
const REFILL_MS = 15;
/** How long it may take to give back jobs that did not stop in time. */
const DROP_MS = 500;
/** How long BullMQ waits before it asks again when Redis was away. Its default is 15 s. */
const RECONNECT_MS = 500;
/**
 * BullMQ reports each failure, but not that it works again. After so long without a failure it
 * counts as working.
 */
const QUIET_MS = 15_000;

/** A run that has begun, and the jobs that go after it in the same place. */
interface Begun {
  readonly run: Running;
  readonly held: HeldJobs;
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
    const shared = { threads: this.#threads, runs: this.#count };
    this.#idleLanes = new IdleLanes(options, (tables) => new Lane({ ...options, ...shared, tables }));
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
      const beats = this.#keep(claim.held);
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
      if (claim?.outcome === "taken") {
        const held = new HeldJobs();
        held.add(token, claim.rest);
        return { run: this.#begin(claim.first, held), held };
      }
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

  #begin(taken: Taken, held: HeldJobs): Running {
    const run = isSmall(taken) ? this.#inLane(this.#idleLanes.take(), taken, held) : this.#run(taken);
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

  /** `begun`: the lane runs the job already. */
  #inLane(lane: Lane, taken: Taken, held: HeldJobs, begun = false): LaneRun {
    const run = new LaneRun(lane, taken, held, begun, this.#traceOf(taken));
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
  async #runAll({ run, held }: Begun): Promise<void> {
    await this.#runToEnd(run);
    // If a lane dies, the claim lapses.
    if (run instanceof LaneRun && !run.lane.alive) return;
    for (let claimed = held.take(); claimed !== undefined; claimed = held.take()) {
      if (this.#closing || this.#alone !== null) return await this.#giveUp([claimed, ...held.jobs]);
      const next = claimed;
      const begun = await this.#inTurn(() => this.#beginNext(next));
      if (begun !== null) await this.#runToEnd(begun);
    }
  }

  /** If Redis is away, the claim lapses. */
  async #giveUp(claimed: readonly Claimed[]): Promise<void> {
    await this.#options.store.giveUp(claimed).catch(() => undefined);
  }

  /** When a job in a lane has ended, the lane begins the next of its claim. */
  async #runToEnd(first: Running): Promise<void> {
    if (!(first instanceof LaneRun)) return await this.#runOne(first);
    const { lane } = first;
    for (let run: LaneRun | null = first; run !== null; run = run.following) await this.#runOne(run);
    await first.held.refill;
    if (!lane.alive) return;
    if (this.#closing) await lane.close(new Error("the process ends"));
    else this.#idleLanes.giveBack(lane);
  }

  /**
   * Claims more for a lane that has little left. What comes too late for the lane stays held, and
   * begins when its batch has ended.
   */
  async #refill({ lane, held, workMs }: LaneRun): Promise<void> {
    const { store } = this.#options;
    const [token, heldMs] = [randomUUID(), workMs + held.workMs];
    const claim = await this.#answered(() => askForJobs(store, { token, worker: this.#id, heldMs, ...this.#place() }));
    if (claim?.wake) await this.#wakeNext();
    if (claim?.outcome !== "held") return;
    if (this.#closing) return await this.#giveUp(claim.rest);
    held.add(token, claim.rest);
    held.refilled = false;
    lane.send({ type: "more", claimed: claim.rest });
  }

  /** Keeps claims from lapsing while their jobs wait for each other. */
  #keep(held: HeldJobs): NodeJS.Timeout {
    const { store, leaseMs } = this.#options;
    const beat = () => {
      if (held.claims.length === 0) return;
      store.renew(leaseMs, [], held.claims).catch((error: unknown) => this.#noDelivery(error as Error));
    };
    return setInterval(beat, leaseMs / BEATS_PER_LEASE);
  }

  /** Null: the job is not ours any more, or must wait, or the worker closes. */
  async #beginNext(claimed: Claimed): Promise<Running | null> {
    if (this.#alone !== null) return null;
    const begun = await this.#answered(() => beginClaimed(this.#options.store, claimed, this.#place()));
    return begun?.outcome === "taken" ? this.#begin(begun.taken, new HeldJobs()) : null;
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
    const missed = control.listen(jobId, (status) => run.onStatus(status));
    if (this.#closing) run.shutdown();
    try {
      const ended = run.execute();
      if (missed) run.checkStatus();
      return await ended;
    } catch (error) {
      // The lease lapses, and another run takes the job as if this process had died.
      log.error({ err: error, job_id: jobId }, "a run broke off");
      return "lost";
    } finally {
      control.unlisten(jobId);
      this.#runs.delete(run);
      // The worker must not look idle in between.
      if (run instanceof LaneRun && run.next !== null) this.#follow(run, run.next);
      this.#counted();
      this.#committed(run);
      this.#changed();
    }
  }

  /** The lane has begun its next job. */
  #follow(run: LaneRun, next: Taken): void {
    const { lane, held } = run;
    run.following = this.#inLane(lane, next, held, true);
    if (held.refilled || this.#closing || this.#alone !== null || held.workMs >= REFILL_MS) return;
    held.refilled = true;
    held.refill = this.#refill(run.following).catch((err: unknown) =>
      this.#options.log.error({ err }, "a claim failed"),
    );
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
