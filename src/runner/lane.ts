/*
 * A lane: a thread that runs small jobs by itself, from the lease to the last script, with a
 * connection to Redis of its own. To hand a small job to training threads and back takes longer
 * than to train it.
 *
 * The main thread claims jobs and hands them to the lane, all that one claim brought. The thread
 * runs them one after the other. Before it has none left, the main thread claims more. Each is an
 * ordinary run (run.ts), whose crew is the thread itself (engine/crew/inline.ts). So nothing that a
 * run can do is missing. The thread returns to its event loop every few milliseconds, so what the
 * main thread passes on is heard at once. A job that takes longer than a second after all is given
 * back with its state, and goes on as an ordinary one.
 *
 * The main thread keeps the account: for each run in the lane it has a LaneRun. It also reads and
 * encodes datasets, so that lanes share them. What a run tells the meters and the trace comes with
 * its end.
 *
 * A thread that dies or stands still loses its leases and claims, which lapse.
 */
import { Worker } from "node:worker_threads";
import type { JobStatus } from "../contract/wire/job.ts";
import type { Logger } from "../log.ts";
import { replayMeters } from "../meters.ts";
import type { Lease } from "../store/lease.ts";
import { retryingElsewhere } from "../retries.ts";
import { isPrediction } from "../store/predictions.ts";
import { isShard } from "../store/sets.ts";
import type { Taken } from "../store/taken.ts";
import type { HeldJobs } from "./held-jobs.ts";
import { SMALL_MS, type Ended, type LaneData, type LaneMessage, type LaneRequest } from "./lane-messages.ts";
import { answerOf, type Question, type Questions } from "./questions.ts";
import type { SetTables } from "./set-tables.ts";
import { readFrom, type ReadData, type Sources } from "./prepare.ts";
import type { RunEnd, Running } from "./running.ts";
import { Standstill } from "./standstill.ts";
import type { Threads } from "./threads.ts";
import { replayTrace, type RunTrace } from "./trace.ts";

/** The memory that a small job takes at most. */
const SMALL_BYTES = 32 * 2 ** 20;

/** How long the thread may not return to its event loop. */
const STILL_MS = 60_000;
const LOOK_MS = 1000;

/** Whether a job that has begun goes to a lane. Shards of sets always do. */
export function isSmall({ hold, alone, workMs, memoryBytes }: Taken): boolean {
  if (isShard(hold.jobId)) return true;
  const short = workMs !== null && workMs < SMALL_MS && memoryBytes <= SMALL_BYTES;
  return short && !alone && !isPrediction(hold.jobId);
}

export interface LaneOptions extends Sources {
  tables: SetTables;
  redisUrl: string;
  leaseMs: number;
  threads: Threads;
  log: Logger;
  /** How many runs the process has now. */
  runs: Int32Array;
}

export class Lane {
  readonly options: LaneOptions;
  readonly #thread: Worker;
  readonly #read: ReadData;
  readonly #closed = new AbortController();
  readonly #beat = new Int32Array(new SharedArrayBuffer(4));
  readonly #standstill = new Standstill(STILL_MS);
  readonly #timer: NodeJS.Timeout;
  readonly #ended: Ended[] = [];
  #waiting: PromiseWithResolvers<Ended> | null = null;
  #died: Error | null = null;

  constructor(options: LaneOptions, program = new URL("../lane-thread.ts", import.meta.url)) {
    this.options = options;
    this.#read = readFrom(options);
    const { redisUrl, leaseMs, log, runs } = options;
    const workerData: LaneData = { redisUrl, logLevel: log.level, leaseMs, runs, beat: this.#beat };
    this.#thread = new Worker(program, { workerData });
    this.#thread.on("message", (message: LaneMessage) => this.#hear(message));
    this.#thread.on("error", (error) => this.#die(error));
    this.#thread.on("exit", () => this.#die(new Error("the thread of small jobs ended")));
    this.#timer = setInterval(() => this.#look(), LOOK_MS).unref();
  }

  /** Whether the thread has started. */
  get serves(): boolean {
    return Atomics.load(this.#beat, 0) > 0;
  }

  /** A lane that has died takes no more jobs. */
  get alive(): boolean {
    return this.#died === null;
  }

  send(request: LaneRequest): void {
    this.#thread.postMessage(request);
  }

  /** The next end of a run. @throws Error if the thread dies */
  async ended(): Promise<Ended> {
    const ended = this.#ended.shift();
    if (ended !== undefined) return ended;
    if (this.#died !== null) throw this.#died;
    this.#waiting = Promise.withResolvers();
    return await this.#waiting.promise;
  }

  /** Ends the thread at once, wherever it is. */
  async close(reason: Error): Promise<void> {
    this.#die(reason);
    await this.#thread.terminate();
  }

  #hear(message: LaneMessage): void {
    if (message.type === "asked") return void this.#answer(message);
    replayMeters(message.meters);
    if (message.type === "retrying") return this.#died === null ? retryingElsewhere(this, message.loops) : undefined;
    if (this.#waiting === null) this.#ended.push(message);
    else this.#waiting.resolve(message);
    this.#waiting = null;
  }

  async #answer({ id, question }: Extract<LaneMessage, { type: "asked" }>): Promise<void> {
    const answer = await this.#find(question).then((value) => ({ value }), answerOf);
    this.send({ type: "answer", id, answer });
  }

  async #find({ what, ask }: Question): Promise<Questions[Question["what"]]["answer"]> {
    const life = { gone: this.#closed.signal, log: this.options.log };
    if (what === "data") return await this.#read(ask.owner, ask.wanted, life);
    const { files, cache, tables } = this.options;
    if (what === "shard") {
      const table = await tables.get(ask.owner, ask.wanted, life);
      return { table, path: files.results.begin(ask.id).path };
    }
    await (cache === null ? files.results.keep(ask) : cache.send(ask));
    return null;
  }

  #look(): void {
    if (this.#waiting === null) return this.#standstill.rest();
    this.#standstill.take(Atomics.load(this.#beat, 0));
    const seconds = this.#standstill.stillSeconds();
    if (seconds !== null) void this.close(new Error(`the thread of small jobs has stood still for ${seconds} seconds`));
  }

  #die(error: Error): void {
    if (this.#died !== null) return;
    this.#died = error;
    clearInterval(this.#timer);
    retryingElsewhere(this, []);
    this.#closed.abort(error);
    this.#waiting?.reject(error);
    this.#waiting = null;
  }
}

/** A run in a lane, as its worker sees it. */
export class LaneRun implements Running {
  readonly lane: Lane;
  readonly lease: Lease;
  readonly trace: RunTrace;
  /** What the lane has besides this job. */
  readonly held: HeldJobs;
  readonly workMs: number;
  /** The job that has begun after it, once it has ended. */
  next: Taken | null = null;
  /** The run of that job, which its worker adds. */
  following: LaneRun | null = null;
  readonly #first: Taken | null;

  /** `begun`: the lane has begun the job itself. Else the lane is given it, with what is held. */
  constructor(lane: Lane, taken: Taken, held: HeldJobs, begun: boolean, trace: (lease: Lease) => RunTrace) {
    this.lane = lane;
    this.lease = lane.options.store.lease(taken.hold);
    this.trace = trace(this.lease);
    this.held = held;
    this.workMs = taken.workMs ?? 0;
    this.#first = begun ? null : taken;
  }

  async execute(): Promise<RunEnd> {
    const { threads } = this.lane.options;
    const count = threads.take(1);
    const keeping = this.#keepLease();
    try {
      if (this.#first !== null) this.lane.send({ type: "run", first: this.#first, rest: this.held.jobs });
      const { end, next, passed, trace } = await this.lane.ended();
      replayTrace(this.trace, trace);
      this.held.passed(passed);
      this.next = next;
      return end;
    } finally {
      clearInterval(keeping);
      threads.giveBack(count);
    }
  }

  /** Renews the lease until the thread does. On a busy machine it may take long to start. */
  #keepLease(): NodeJS.Timeout {
    const { leaseMs, runs } = this.lane.options;
    const keeping = setInterval(() => {
      if (this.lane.serves) return clearInterval(keeping);
      const blame = Atomics.load(runs, 0) <= 1 ? "own" : "shared";
      // If the lease is lost, the thread finds out.
      this.lease.renew(leaseMs, blame).catch(() => undefined);
    }, leaseMs / 3);
    return keeping;
  }

  shutdown(): void {
    this.lane.send({ type: "shutdown" });
  }

  onStatus(status: JobStatus): void {
    this.lane.send({ type: "status", jobId: this.lease.jobId, status });
  }

  checkStatus(): void {
    this.lane.send({ type: "check" });
  }

  /** A lane that stands still ends itself. */
  assertMoving(): void {}

  abandon(reason: Error): void {
    void this.lane.close(reason);
  }

  async drop(): Promise<void> {
    this.abandon(new Error("the process ends"));
    const message = "The worker had to shut down before the job could stop; another one goes on.";
    await this.lease.release({ type: "requeued", message, step: null, data: null });
  }
}
