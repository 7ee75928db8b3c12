/**
 * How a run ends: the last writes to a job. Each includes what the reporter has not yet reported,
 * so that nothing is missing and nothing is written after the end.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { crashPoint } from "../crash-point.ts";
import type { Outcome } from "../engine/crew/outcome.ts";
import { keptModels, type Which } from "../engine/state/model-files.ts";
import type { HashedFile, StopReason } from "../engine/state/state.ts";
import { extractModels } from "../engine/state/state-worker.ts";
import { Retry } from "../retries.ts";
import type { Spec } from "../contract/schema/spec.ts";
import type { PredictionResult } from "../contract/wire/batch-prediction.ts";
import type { Blob } from "../store/blobs.ts";
import type { JobStatus } from "../contract/wire/job.ts";
import { LeaseLost, Unavailable } from "../store/errors.ts";
import type { Ending, Lease } from "../store/lease.ts";
import type { MetricRow, NewEvent, ProgressReport } from "../store/record.ts";
import type { ShardResult } from "../store/sets.ts";
import type { ModelRecord } from "../store/models.ts";
import { committedEvent, type Checkpoints, type StateFile } from "./checkpoints.ts";
import type { JobFailure } from "./failures.ts";
import { persist, persistUpload, type Life } from "./persist.ts";
import type { Reporter } from "./reporter.ts";

const ROOM_RETRY_MS = 1000;

export interface Finished {
  outcome: Extract<Outcome, { type: StopReason }>;
  spec: Spec;
  state: StateFile;
  notes: ModelRecord;
  /** Whether it is the pooled model of a set, whose other models follow. */
  isPooled: boolean;
}

/** Writes the end of the job. */
export type Finish = (ending: Ending, rows: readonly MetricRow[]) => Promise<unknown>;

export class Endings {
  readonly #lease: Lease;
  readonly #reporter: Reporter;
  readonly #life: Life;
  readonly #beforeLastWrite: () => void;
  readonly #finishWith: Finish;

  /** `beforeLastWrite` is called before each attempt to give up the lease. */
  constructor(
    lease: Lease,
    reporter: Reporter,
    life: Life,
    beforeLastWrite: () => void,
    finish: Finish = (ending, rows) => lease.finish(ending, rows),
  ) {
    this.#beforeLastWrite = beforeLastWrite;
    this.#finishWith = finish;
    this.#lease = lease;
    this.#reporter = reporter;
    this.#life = life;
  }

  async cancelled(progress: ProgressReport | null): Promise<void> {
    crashPoint("during-cancel");
    await this.#finish({ status: "cancelled", progress }, [
      { type: "cancelled", message: "Cancelled.", step: progress?.step ?? null, data: null },
    ]);
  }

  async failed({ code, message, suggestion, step }: JobFailure, progress: ProgressReport | null): Promise<void> {
    const event = { message, step, data: { code, suggestion } };
    const events: NewEvent[] = [{ ...event, type: "failed" }];
    if (code === "diverged") events.unshift({ ...event, type: "diverged" });
    const ending = { status: "failed" as const, error: { code, message, suggestion, step } };
    try {
      await this.#finish({ ...ending, progress }, events);
    } catch (error) {
      if (error instanceof LeaseLost || this.#life.gone.aborted) throw error;
      // The rest of the metrics and events may be what cannot be written.
      this.#life.log.error({ err: error }, "the job's last metrics and events could not be written");
      await persist(this.#life, () => {
        this.#beforeLastWrite();
        return this.#finishWith({ ...ending, progress: null, events }, []);
      });
    }
  }

  /**
   * Gives the job back. It is queued again, unless it was to be paused or cancelled. Returns its
   * status.
   */
  async released(message: string, progress: ProgressReport | null, yields = false, large = false): Promise<JobStatus> {
    const events = await this.#reporter.close(this.#life);
    const requeued = { type: "requeued" as const, message, step: progress?.step ?? null, data: null };
    return await persist(this.#life, () => {
      this.#beforeLastWrite();
      return this.#lease.release(requeued, events, yields, large);
    });
  }

  /**
   * Ends the job with its result. The model must be stored, so this waits until there is room.
   * Returns false if the run was `interrupted` while it waited.
   * @param life how long the job may still succeed
   */
  async succeeded(
    finished: Finished,
    progress: ProgressReport | null,
    checkpoints: Checkpoints,
    interrupted: (waiting: boolean) => boolean,
    life: Life,
  ): Promise<boolean> {
    const succeed = () => this.#succeed(finished, progress, checkpoints, interrupted, life);
    return await persistUpload(life, async () => {
      const succeeded = await succeed().catch((error: unknown) => {
        if (!this.#lease.carries) throw error;
        return orNoRoom(error);
      });
      if (succeeded !== null) return succeeded;
      this.#lease.carries = false;
      return await succeed();
    });
  }

  /** Ends a prediction over a dataset, whose result is kept. */
  async predicted(result: PredictionResult, progress: ProgressReport | null): Promise<void> {
    const message = `Predicted ${result.rows} rows.`;
    await this.#finish({ status: "succeeded", result, progress }, [
      { type: "succeeded", message, step: null, data: { ...result } },
    ]);
  }

  /** Ends a shard of a set, whose results are kept. */
  async trained({ succeeded, failed, skipped, bytes, metrics }: ShardResult): Promise<void> {
    const result = { succeeded, failed, skipped, bytes, metrics };
    await this.#finish({ status: "succeeded", result, progress: null }, []);
  }

  async #succeed(
    { outcome, spec, state, notes, isPooled }: Finished,
    progress: ProgressReport | null,
    checkpoints: Checkpoints,
    interrupted: (waiting: boolean) => boolean,
    life: Life,
  ): Promise<boolean> {
    const { best, changes, rangeTest } = outcome;
    const kept = keptModels(spec.checkpoint.keep_best, best);
    const models: Required<Ending>["models"] = {};
    const files = state.models ?? (await extractedModels(state, kept));
    for (const [i, which] of kept.entries()) {
      const file = files[i];
      const blob = await this.#uploadModel(file, which, outcome.step, interrupted, life);
      if (blob === null) return false;
      models[which] = { ...blob, sha256: file.sha256 };
    }
    const { step, epochs, metrics, type } = outcome;
    const weights = models.final!.sha256;
    const result = {
      weights_sha256: weights,
      steps: step,
      epochs,
      stop_reason: type,
      metrics,
      best,
      changes: [...changes],
      ...(rangeTest && { lr_range_test: rangeTest }),
    };
    const began = performance.now();
    const committed = await checkpoints.upload(state).catch(orNoRoom);
    if (committed === null) checkpoints.noRoom(state);
    const events: NewEvent[] = committed === null ? [] : [committedEvent(committed)];
    const stopped = type === "completed" ? "Trained" : "Stopped early";
    events.push({
      type: isPooled ? "pooled" : "succeeded",
      message: isPooled ? `The model of all rows has ${step} steps.` : `${stopped} after ${step} steps.`,
      step,
      data: { weights_sha256: weights },
    });
    const ending = {
      status: "succeeded" as const,
      result,
      model: notes,
      progress,
      state: committed ?? undefined,
      models,
    };
    await this.#finish(ending, events, life);
    if (committed !== null) checkpoints.count(committed, began);
    return true;
  }

  async #uploadModel(
    { bytes }: HashedFile,
    which: "final" | "best",
    step: number,
    interrupted: (waiting: boolean) => boolean,
    life: Life,
  ): Promise<Blob | null> {
    const attempts = new Retry("room", life.log);
    try {
      while (!life.gone.aborted && !interrupted(attempts.failures > 0)) {
        const blob = await persist(life, () => this.#lease.store(bytes, which)).catch(orNoRoom);
        if (blob !== null) {
          attempts.worked();
          return blob;
        }
        const message = `Redis has no room for the ${bytes.byteLength} bytes of the model; waiting for some.`;
        if (attempts.failures === 0) {
          this.#reporter.event("checkpoint_failed", message, step, { bytes: bytes.byteLength });
        }
        attempts.failed(new Error(message));
        await sleep(ROOM_RETRY_MS, null, { signal: life.gone }).catch(() => undefined);
      }
      return null;
    } finally {
      attempts.gaveUp();
    }
  }

  async #finish(ending: Omit<Ending, "events">, last: NewEvent[], life = this.#life): Promise<void> {
    const events = await this.#reporter.close(life);
    const whole = { ...ending, events: [...events, ...last] };
    await persist(life, () =>
      this.#reporter.withLastRows(({ rows, since }) => {
        this.#beforeLastWrite();
        return this.#finishWith({ ...whole, since }, rows);
      }),
    );
  }
}

async function extractedModels(state: StateFile, kept: readonly Which[]): Promise<readonly HashedFile[]> {
  const extracted = await extractModels(state.bytes, kept);
  state.bytes = extracted.state;
  return extracted.models;
}

function orNoRoom(error: unknown): null {
  if (error instanceof Unavailable && error.full) return null;
  throw error;
}
