import { CONTROL_BYTES, DOUBLE, REQUEST, WORD } from "./control.ts";
import type { Finding } from "../detectors/detector.ts";
import type { Evaluation } from "../step/evaluation.ts";
import { stepsPerEpoch, type TrainingJob } from "../job.ts";
import { chosenKernels, type KernelChoice } from "../kernels/native.ts";
import { LARGE_BYTES } from "./garbage.ts";
import { failureOf, type Hands } from "./hands.ts";
import { load, planFor, type Loaded } from "./load.ts";
import { LogReader, type LogEntry } from "./log-reader.ts";
import { collectLater } from "./memories.ts";
import type { Plan } from "../plan/model.ts";
import { pooled } from "./pooled.ts";
import type { Change } from "../watch/rewind.ts";
import type { FinalFile } from "../state/model-files.ts";
import { stateEntries, type HashedFile, type Progress } from "../state/state.ts";
import { serializeState } from "../state/state-worker.ts";
import type { Ended, SnapshotKind, ThreadMessage } from "./messages.ts";
import { outcomeOf, type Outcome } from "./outcome.ts";
import { dataBytes } from "../training.ts";

/*
 * The threads that train one job together, as the thread that runs the job sees them. That one
 * starts them and sets request words; they tell it of log entries, evaluations and snapshots.
 * Mostly they are threads of the pool: it takes no part in training, and training does not wait for
 * it (unless it lets the log's ring fill up). A small job it trains itself (inline.ts).
 *
 * A crew keeps its job's memory until its last thread has left the job or died, and its last
 * snapshot is serialised. Then the memory is returned for another job. What the crew needs after
 * that is kept elsewhere.
 */

/** The whole state as it stood at a step boundary. */
export interface Snapshot {
  readonly step: number;
  readonly kinds: readonly SnapshotKind[];
  readonly metrics: Readonly<Record<string, number>>;
  /**
   * The number of checkpoints since the last snapshot that were due but skipped, because the buffer
   * was not free.
   */
  readonly skipped: number;
  /**
   * Makes the safetensors file, in another thread, and frees the buffer for the next snapshot. To
   * be called once.
   */
  serialize(): Promise<HashedFile | FinalFile>;
}

export interface CrewHandlers {
  log(entries: readonly LogEntry[]): void;
  /** `seconds`: how long it took. */
  evaluated(evaluation: Evaluation, seconds: number): void;
  /** The metrics of an observed step, by name. */
  observed?(step: number, metrics: Readonly<Record<string, number>>): void;
  /** A detector found something. */
  diagnosed?(finding: Finding): void;
  snapshot(snapshot: Snapshot): void;
}

export interface CrewOptions {
  readonly threads: number;
  /** Steps between checkpoints, or null. */
  readonly everySteps: number | null;
  /** Whether a checkpoint is taken before the first step. Default: no. */
  readonly atStart?: boolean;
  /**
   * The bytes of an earlier snapshot from which training continues. The crew takes the buffer over:
   * the array is empty afterwards.
   */
  readonly state: Uint8Array | null;
  /**
   * The bytes of a model file to begin with instead of random weights. Weights that it lacks are
   * random. The crew takes this buffer over too.
   */
  readonly weights?: Uint8Array | null;
  /**
   * The rewinds that apply to this run. An older state does not know of them. Default: the rewinds
   * in the state.
   */
  readonly changes?: readonly Change[] | null;
  /** Default: as RAPPEL_KERNELS says. No number depends on it. */
  readonly kernels?: KernelChoice;
  /** Who trains. Default: threads of the pool. */
  readonly hands?: Hands;
}

/** How often the log is read if nothing else causes it to be read. */
const DRAIN_MS = 50;

export class Crew {
  readonly threads: number;
  readonly plan: Plan;
  readonly #job: TrainingJob;
  /** Null after it was returned. */
  #memory: WebAssembly.Memory | null;
  #words: Int32Array;
  #doubles: Float64Array;
  readonly #log: LogReader;
  readonly #handlers: CrewHandlers;
  readonly #options: CrewOptions;
  readonly #progress: Progress;
  readonly #begins: boolean;
  readonly #drawn: readonly string[];
  readonly #hands: Hands;
  /** Snapshots that are not serialised yet. */
  #snapshots = 0;
  #over = false;
  #ended: Ended | null = null;
  #failure: Error | null = null;

  private constructor(
    job: TrainingJob,
    plan: Plan,
    memory: WebAssembly.Memory,
    options: CrewOptions,
    { progress, drawn }: Loaded,
    handlers: CrewHandlers,
  ) {
    this.threads = plan.threads;
    this.plan = plan;
    this.#job = job;
    this.#memory = memory;
    this.#words = new Int32Array(memory.buffer, plan.addresses.control);
    this.#doubles = new Float64Array(memory.buffer, plan.addresses.control);
    this.#log = new LogReader(memory, this.#words, plan.addresses.log);
    this.#options = options;
    this.#hands = options.hands ?? pooled;
    this.#progress = progress;
    this.#begins = options.state === null;
    this.#drawn = drawn;
    this.#handlers = handlers;
  }

  /**
   * Makes the job's memory and, if `state` is given, restores it. Nothing runs yet.
   * @throws PlanError, MemoryShortage, and Error if the state is damaged or is not of this job
   */
  static async start(job: TrainingJob, options: CrewOptions, handlers: CrewHandlers): Promise<Crew> {
    const plan = planFor(job, options.threads);
    const { weights = null, changes = null, hands = pooled } = options;
    const memory = await hands.takeMemory(plan.memoryBytes);
    const loaded = await load(plan, memory, options).catch(async (error: unknown) => {
      await hands.returnMemory(memory, plan.memoryBytes);
      throw error;
    });
    const { progress } = loaded;
    if (changes !== null) progress.changes = changes;
    if (weights !== null) progress.diagnosis.learned = true;
    const crew = new Crew(job, plan, memory, options, loaded, handlers);
    crew.#doubles[DOUBLE.step] = progress.step;
    crew.#doubles[DOUBLE.epoch] = Math.floor(progress.step / stepsPerEpoch(job.training, job.data.trainRows.length));
    crew.#doubles[DOUBLE.trainLoss] = Number.NaN;
    return crew;
  }

  /**
   * Trains until the job ends, diverges or is stopped. The caller that started the crew calls this
   * once. @throws ThreadFailed
   */
  async run(): Promise<Outcome> {
    try {
      if (this.#failure === null) await this.#train();
    } finally {
      this.#over = true;
      this.#giveBackMemory();
    }
    if (this.#failure !== null) throw this.#failure;
    return outcomeOf(this.#job, this.#ended!, this.#log);
  }

  async #train(): Promise<void> {
    const drain = setInterval(() => this.#drain(), DRAIN_MS);
    try {
      await this.#hands.train({
        plan: this.plan,
        memory: this.#memory!,
        kernels: this.#options.kernels ?? chosenKernels(),
        words: this.#words,
        start: {
          job: this.#job,
          everySteps: this.#options.everySteps,
          atStart: this.#options.atStart ?? false,
          progress: this.#progress,
          begins: this.#begins,
          drawn: this.#drawn,
        },
        hear: (messages) => this.#hear(messages),
        fail: (error) => this.#fail(error),
      });
    } finally {
      clearInterval(drain);
    }
    this.#drain();
  }

  /**
   * Called when nobody uses the memory any more. The crew goes on with a copy of the control words.
   */
  #giveBackMemory(): void {
    const memory = this.#memory;
    if (memory === null || !this.#over || this.#snapshots > 0) return;
    this.#memory = null;
    this.#words = this.#words.slice(0, CONTROL_BYTES / 4);
    this.#doubles = this.#doubles.slice(0, CONTROL_BYTES / 8);
    this.#log.close();
    void this.#hands.returnMemory(memory, this.plan.memoryBytes);
    if (dataBytes(this.#job.data) >= LARGE_BYTES) collectLater();
  }

  #hear(messages: readonly ThreadMessage[]): void {
    // Entries that were logged before the messages were sent come first.
    this.#drain();
    for (const message of messages) this.#receive(message);
  }

  #receive(message: ThreadMessage): void {
    if (message.type === "evaluated") this.#handlers.evaluated(message.evaluation, message.seconds);
    else if (message.type === "observed") this.#handlers.observed?.(message.step, message.metrics);
    else if (message.type === "diagnosed") this.#handlers.diagnosed?.(message.finding);
    else if (message.type === "snapshot") this.#handlers.snapshot(this.#snapshotOf(message));
    else if (message.type === "ended") this.#ended = message;
    else if (message.type === "failed") this.#fail(failureOf(message.error));
  }

  /** The other threads would wait at the barrier for a thread that failed, so they are stopped. */
  #fail(error: Error): void {
    this.#failure ??= error;
    this.#abort();
  }

  #abort(): void {
    Atomics.store(this.#words, WORD.abort, 1);
    for (const word of [WORD.barrier + 1, WORD.suspended, WORD.snapshotBusy, WORD.logRead])
      Atomics.notify(this.#words, word);
  }

  #snapshotOf({ kinds, skipped, progress, file }: Extract<ThreadMessage, { type: "snapshot" }>): Snapshot {
    const { state, snapshot } = this.plan.addresses;
    const { step, metrics } = progress;
    // Only jobs of a pack have models without a state.
    if (file !== null) return { step, kinds, metrics, skipped, serialize: async () => file as HashedFile | FinalFile };
    this.#snapshots++;
    return {
      step,
      kinds,
      metrics,
      skipped,
      serialize: async () => {
        try {
          return await serializeState(this.#memory!, stateEntries(this.plan), snapshot - state, progress);
        } finally {
          Atomics.store(this.#words, WORD.snapshotBusy, 0);
          Atomics.notify(this.#words, WORD.snapshotBusy);
          this.#snapshots--;
          this.#giveBackMemory();
        }
      },
    };
  }

  /** Hands on what the leader has logged since the last time. */
  #drain(): void {
    const entries = this.#log.read();
    if (entries.length > 0) this.#handlers.log(entries);
  }

  /** The findings of detectors in the state from which the crew continued. */
  get findings(): readonly Finding[] {
    return this.#progress.diagnosis.findings;
  }

  /** The present step, epoch and loss. Cheap to call. */
  progress(): { step: number; epoch: number; trainLoss: number | null } {
    const loss = this.#doubles[DOUBLE.trainLoss];
    return {
      step: this.#doubles[DOUBLE.step],
      epoch: this.#doubles[DOUBLE.epoch],
      trainLoss: Number.isNaN(loss) ? null : loss,
    };
  }

  /** A number that changes as long as the crew trains or evaluates. */
  pulse(): number {
    return this.#doubles[DOUBLE.step] + Atomics.load(this.#words, WORD.evaluated);
  }

  /** Asks for a snapshot at the next step boundary at which the buffer is free. */
  snapshot(): void {
    Atomics.or(this.#words, WORD.request, REQUEST.snapshot);
  }

  /**
   * Stops at the next step boundary, after a "shutdown" snapshot if `snapshot` is true. `run` then
   * resolves.
   */
  stop({ snapshot }: { readonly snapshot: boolean }): void {
    Atomics.or(this.#words, WORD.request, REQUEST.stop | (snapshot ? REQUEST.shutdownSnapshot : 0));
    this.resume();
  }

  /** Stops the threads at once, wherever they are. `run` then rejects. */
  abandon(error: Error): void {
    this.#fail(error);
  }

  /** Pauses at the next step boundary. Everything stays in memory. */
  suspend(): void {
    Atomics.store(this.#words, WORD.suspended, 1);
  }

  resume(): void {
    Atomics.store(this.#words, WORD.suspended, 0);
    Atomics.notify(this.#words, WORD.suspended);
  }
}
