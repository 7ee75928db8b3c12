/*
 * What the thread of a lane does (lane.ts): it runs what was claimed, one job after the other. The
 * script that ends a job begins the next.
 */
import { parentPort, workerData, type MessagePort } from "node:worker_threads";
import type { Hands } from "../engine/crew/hands.ts";
import { inline } from "../engine/crew/inline.ts";
import { ARITHMETIC_VERSION } from "../engine/kernels/kernels.ts";
import { workHere } from "../engine/state/state-worker.ts";
import type { Logger } from "../log.ts";
import { recordMeters } from "../meters.ts";
import { retrying } from "../retries.ts";
import type { Store } from "../store/store.ts";
import type { Claimed, Place, Taken } from "../store/taken.ts";
import { Following } from "./following.ts";
import { LaneDatasets } from "./lane-datasets.ts";
import { SMALL_MS, type Batch, type LaneData, type LaneMessage, type LaneRequest } from "./lane-messages.ts";
import type { Finish } from "./endings.ts";
import type { RunOptions } from "./options.ts";
import { Asking } from "./questions.ts";
import { Run } from "./run.ts";
import { ShardRun } from "./shard-run.ts";
import { isShard } from "../store/sets.ts";
import type { RunEnd } from "./running.ts";
import { recordedTrace, type TraceCall } from "./trace.ts";

const BEAT_MS = 1000;
/** How often a lane looks whether its job is too long. */
const LOOK_MS = 100;

/** Serves the main thread. */
export function serveLane(store: Store, log: Logger): void {
  const thread = new LaneThread(store, log, parentPort!, workerData as LaneData);
  parentPort!.on("message", (request: LaneRequest) => thread.hear(request));
}

class LaneThread {
  readonly #store: Store;
  readonly #log: Logger;
  readonly #port: MessagePort;
  readonly #data: LaneData;
  readonly #main: Asking;
  readonly #datasets: LaneDatasets;
  readonly #takeMeters = recordMeters();
  readonly #hands: Hands;
  #run: Run | ShardRun | null = null;
  /** The claimed jobs that have not begun, and how many the batch has had; null: it has ended. */
  #batch: { readonly waiting: Claimed[]; claimed: number } | null = null;
  /** Whether loops failed at the last beat. */
  #retried = false;
  readonly #closing = new AbortController();

  constructor(store: Store, log: Logger, port: MessagePort, data: LaneData) {
    this.#store = store;
    this.#log = log;
    this.#port = port;
    this.#data = data;
    this.#main = new Asking(port);
    this.#datasets = new LaneDatasets(this.#main);
    this.#hands = { ...inline, train: (task) => this.#train(task) };
    workHere();
    this.#beat();
    setInterval(() => this.#beat(), BEAT_MS);
  }

  hear(request: LaneRequest): void {
    switch (request.type) {
      case "run":
        void this.#runAll(request);
        break;
      case "more":
        this.#add(request.claimed);
        break;
      case "status":
        if (this.#run?.lease.jobId === request.jobId) this.#run.onStatus(request.status);
        break;
      case "check":
        this.#run?.checkStatus();
        break;
      case "shutdown":
        this.#closing.abort();
        this.#run?.shutdown();
        break;
      case "answer":
        this.#main.answered(request.id, request.answer);
    }
  }

  #beat(): void {
    Atomics.add(this.#data.beat, 0, 1);
    this.#tellRetries();
    // A run that stands still ends the thread. Its lease lapses, and another run takes the job.
    this.#run?.assertMoving();
  }

  #tellRetries(): void {
    const loops = retrying();
    if (loops.length === 0 && !this.#retried) return;
    this.#retried = loops.length > 0;
    this.#port.postMessage({ type: "retrying", loops, meters: this.#takeMeters() } satisfies LaneMessage);
  }

  async #runAll({ first, rest }: Batch): Promise<void> {
    this.#batch = { waiting: [], claimed: 0 };
    this.#add(rest);
    let taken: Taken | null = first;
    while (taken !== null) taken = await this.#runOne(taken, this.#batch.waiting);
    this.#batch = null;
  }

  #add(claimed: readonly Claimed[]): void {
    if (this.#batch === null) return;
    for (const one of claimed) this.#batch.waiting.push(one);
    this.#batch.claimed += claimed.length;
  }

  /** Runs a job. Returns the one that has begun after it. */
  async #runOne(taken: Taken, waiting: Claimed[]): Promise<Taken | null> {
    const trace: TraceCall[] = [];
    const life = { gone: this.#closing.signal, log: this.#log };
    const following = new Following(this.#store, waiting, () => this.#place(), life);
    const run = this.#runOf(taken, following, trace);
    this.#run = run;
    if (this.#closing.signal.aborted) run.shutdown();
    const end = await this.#execute(run);
    this.#run = null;
    const next = await following.begun();
    const passed = this.#batch!.claimed - waiting.length;
    const told = next && { ...next, work: null };
    const ended: LaneMessage = { type: "ended", end, next: told, passed, meters: this.#takeMeters(), trace };
    this.#port.postMessage(ended);
    return next;
  }

  #runOf({ hold, work }: Taken, following: Following, trace: TraceCall[]): Run | ShardRun {
    const options: RunOptions = {
      store: this.#store,
      cache: null,
      leaseMs: this.#data.leaseMs,
      threads: { take: () => 1, giveBack() {} },
      log: this.#log,
      trace: () => recordedTrace(trace),
      alone: () => this.#alone(),
      committed() {},
    };
    const lease = this.#store.lease(hold);
    const finish: Finish = (...ended) => following.beginAt(lease, ...ended);
    if (isShard(hold.jobId)) return new ShardRun(lease, options, this.#main, finish);
    return new Run(lease, {
      ...options,
      work,
      readData: (owner, wanted) => this.#datasets.read(owner, wanted),
      hands: this.#hands,
      finish: (_lease, ...ended) => finish(...ended),
    });
  }

  async #execute(run: Run | ShardRun): Promise<RunEnd> {
    try {
      return await run.execute();
    } catch (error) {
      // The lease lapses, and another run takes the job as if this process had died.
      this.#log.error({ err: error, job_id: run.lease.jobId }, "a run broke off");
      return "lost";
    }
  }

  /**
   * A job that trains for longer is no small job. What counts is the processor's time, so that a
   * busy machine moves no job.
   */
  async #train(task: Parameters<Hands["train"]>[0]): Promise<void> {
    const before = process.threadCpuUsage();
    const look = setInterval(() => {
      const { user, system } = process.threadCpuUsage(before);
      if (user + system >= SMALL_MS * 1000 && this.#run instanceof Run) this.#run.move();
    }, LOOK_MS);
    await inline.train(task);
    clearInterval(look);
  }

  #alone(): boolean {
    return Atomics.load(this.#data.runs, 0) <= 1;
  }

  /** The main thread counts the memory. What was claimed had room then. */
  #place(): Place {
    const { leaseMs } = this.#data;
    const memoryLeft = Number.MAX_SAFE_INTEGER;
    return { leaseMs, idle: this.#alone(), memoryLeft, arithmeticVersion: ARITHMETIC_VERSION };
  }
}
