/**
 * Writes a run's checkpoints while the run goes on training. A snapshot becomes a file at once, so
 * that its buffer is free for the next snapshot. While an earlier file is being written, the next
 * one waits; if several wait, only the newest is written. A checkpoint that cannot be written is an
 * event and not an error: the run goes on, and still has the checkpoint before.
 */
import type { Snapshot } from "../engine/crew/crew.ts";
import type { HashedFile } from "../engine/state/state.ts";
import type { EarlyStopping } from "../engine/settings.ts";
import { rewindOf, rewindStep } from "../engine/watch/rewind.ts";
import { meters } from "../meters.ts";
import type { ResolvedSpec } from "../contract/schema/spec.ts";
import { LeaseLost, Unavailable } from "../store/errors.ts";
import type { Lease, Retention, State } from "../store/lease.ts";
import type { NewEvent } from "../store/record.ts";
import { persist, persistUpload, type Life } from "./persist.ts";
import type { Reporter } from "./reporter.ts";
import type { RunTrace } from "./trace.ts";

/** A snapshot as a file. */
export interface StateFile {
  step: number;
  kinds: State["kinds"];
  metrics: Readonly<Record<string, number>>;
  bytes: Uint8Array;
  sha256: string;
  /** The model files, if they were written with the state. */
  models?: readonly HashedFile[];
}

export async function serialized(snapshot: Snapshot): Promise<StateFile> {
  const { step, kinds, metrics } = snapshot;
  return { step, kinds: [...kinds], metrics, ...(await snapshot.serialize()) };
}

export function committedEvent({ step, bytes, sha256, kinds }: State): NewEvent {
  const message = `The state at step ${step} is safe.`;
  return { type: "checkpoint_committed", message, step, data: { bytes, sha256, kinds } };
}

export class Checkpoints {
  readonly #lease: Lease;
  readonly #spec: Pick<ResolvedSpec, "checkpoint" | "training" | "detectors">;
  readonly #reporter: Reporter;
  readonly #life: Life;
  readonly #trace: RunTrace;
  readonly #committed: () => void;
  #waiting: StateFile | null = null;
  #writing: Promise<void> | null = null;
  #serializing: Promise<void> | null = null;
  #skipped = 0;

  /** `committed` is called after each commit. */
  constructor(
    lease: Lease,
    spec: Pick<ResolvedSpec, "checkpoint" | "training" | "detectors">,
    reporter: Reporter,
    life: Life,
    trace: RunTrace,
    committed: () => void,
  ) {
    this.#trace = trace;
    this.#committed = committed;
    this.#lease = lease;
    this.#spec = spec;
    this.#reporter = reporter;
    this.#life = life;
  }

  /**
   * Takes a snapshot to be written. The crew makes the next one only after this one is serialised.
   */
  submit(snapshot: Snapshot): void {
    this.#skipped += snapshot.skipped;
    this.#serializing = serialized(snapshot)
      .then((file) => {
        if (this.#waiting !== null) this.#skipped++;
        this.#waiting = file;
        this.#writing ??= this.#writeAll();
      })
      .catch((error: unknown) => this.#failed(snapshot.step, error));
  }

  /** Resolves when every submitted snapshot is written, skipped or has failed. */
  async idle(): Promise<void> {
    await this.#serializing;
    await this.#writing;
  }

  /** Uploads a file. Returns the state for a commit, or null if there is no room. */
  async upload(file: StateFile): Promise<State | null> {
    const blob = await persist(this.#life, () => this.#lease.store(file.bytes, "state"));
    if (blob === null) return null;
    const { step, sha256, kinds, metrics } = file;
    return { ...blob, step, sha256, kinds, metrics, score: scoreOf(file.metrics, this.#spec.training.early_stopping) };
  }

  async #writeAll(): Promise<void> {
    for (let file = this.#waiting; file !== null; file = this.#waiting) {
      this.#waiting = null;
      const write = () => this.#write(file);
      await persistUpload(this.#life, write).catch((error: unknown) => this.#failed(file.step, error));
    }
    this.#writing = null;
  }

  async #write(file: StateFile): Promise<void> {
    const [began, uploadBegan] = [Date.now(), performance.now()];
    this.#reportSkipped(file.step);
    const state = await this.upload(file);
    if (state === null) return this.noRoom(file);
    const retention = this.#retention(file.step);
    try {
      // Events before the checkpoint must be recorded before it: a run that resumes there does not
      // tell them again.
      await this.#reporter.flush(this.#life);
      const progress = this.#reporter.progress()!;
      const event = committedEvent(state);
      await persist(this.#life, () =>
        this.#reporter.withRows((rows) => this.#lease.commit(state, retention, { progress, event, ...rows })),
      );
    } catch (error) {
      await this.#lease.abandon(state.blob).catch(() => undefined);
      throw error;
    }
    this.count(state, uploadBegan);
    this.#trace.did("checkpoint", began, file.step);
    this.#reporter.committed(file.step);
    this.#committed();
  }

  /** Counts a state that was committed. `began`: when its upload began, by `performance.now()`. */
  count({ bytes }: State, began: number): void {
    meters.checkpoints.observe((performance.now() - began) / 1000);
    meters.checkpointBytes.inc(bytes);
  }

  noRoom({ step, bytes }: StateFile): void {
    meters.checkpointFailures.inc();
    const message = `Redis has no room for the ${bytes.byteLength} bytes of the checkpoint.`;
    this.#reporter.event("checkpoint_failed", message, step, { bytes: bytes.byteLength });
  }

  #retention(step: number): Retention {
    const { keep_last: keepLast, keep_best: keepBest } = this.#spec.checkpoint;
    const rewind = rewindOf(this.#spec);
    return { keepLast, keepBest, rewindStep: rewind && rewindStep(rewind, step) };
  }

  #reportSkipped(step: number): void {
    if (this.#skipped === 0) return;
    const message = `Checkpoints that were due while an earlier one was being written: ${this.#skipped}.`;
    this.#reporter.event("checkpoint_skipped", message, step, { count: this.#skipped });
    this.#skipped = 0;
  }

  #failed(step: number, error: unknown): void {
    if (error instanceof LeaseLost || this.#life.gone.aborted) return;
    meters.checkpointFailures.inc();
    this.#life.log.warn({ err: error, step }, "checkpoint failed");
    const full = error instanceof Unavailable && error.full;
    const message = full ? "Redis is full." : (error as Error).message;
    this.#reporter.event("checkpoint_failed", `The checkpoint could not be written: ${message}`, step);
  }
}

/** The score of a state: the best state of a job has the least. Null if the metric is not known. */
export function scoreOf(
  metrics: Readonly<Record<string, number>>,
  rule: Pick<EarlyStopping, "metric" | "mode"> | null,
): number | null {
  const { metric, mode } = rule ?? { metric: "valid_loss", mode: "min" };
  const value = metrics[metric];
  if (value === undefined || !Number.isFinite(value)) return null;
  return mode === "max" ? -value : value;
}
