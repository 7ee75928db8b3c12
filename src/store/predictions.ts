/**
 * Predictions over datasets. The record of one is that of a job (record.ts), so that leases,
 * turns and limits are the same. Their results are files (data/files/result-files.ts).
 */
import { crashPoint } from "../crash-point.ts";
import { MAX_PREDICTIONS } from "../contract/facts.ts";
import type { BatchPrediction, PredictionFailureCode, PredictionResult } from "../contract/wire/batch-prediction.ts";
import type { Page } from "../contract/wire/common.ts";
import type { JobError } from "../contract/wire/job.ts";
import type { Database } from "./database.ts";
import { usedBefore, useArguments, type IdempotencyUse } from "./idempotency.ts";
import { keys } from "./keys.ts";
import { idsOf, pageOf, type PageOptions } from "./pages.ts";
import { atTheBeginning, named, toTime, type Fields, type NewEvent, type ProgressReport } from "./record.ts";
import { PREDICTION_BYTES } from "./room.ts";

export interface NewPrediction extends Pick<
  BatchPrediction,
  "job_id" | "split" | "which" | "fold" | "seed" | "unseen"
> {
  readonly id: string;
  readonly owner: string;
  readonly datasets: readonly string[];
  readonly weights_sha256: string;
  readonly rows: number;
  /** How many bytes its CSV may have. */
  readonly resultBytes: number;
  readonly idempotency: IdempotencyUse | null;
  /** The trace context of the request; null without traces. */
  readonly trace: string | null;
}

export type CreatedPrediction =
  | { outcome: "created"; record: BatchPrediction; wake: boolean }
  | ReplayedPrediction
  | { outcome: "job_missing" }
  | { outcome: "dataset_missing" };

/** `mismatch`: the idempotency key was used for another body. */
export type ReplayedPrediction = { outcome: "replayed"; record: BatchPrediction } | { outcome: "mismatch" };

/** The outcome of a request to change a prediction; null: there is no such one. */
export type ChangedPrediction<Outcome extends string> = {
  outcome: Outcome | "wrong_status";
  record: BatchPrediction;
} | null;

const fields = [
  "model_job",
  "dataset",
  "split",
  "which",
  "fold",
  "seed",
  "unseen",
  "weights_sha256",
  "status",
  "created_at",
  "started_at",
  "finished_at",
  "run",
  "total_steps",
  "progress",
  "updated_at",
  "result",
  "error",
] as const;

/** Whether this is the id of a prediction, and not of a job that trains. */
export function isPrediction(id: string): boolean {
  return id.startsWith("pred_");
}

export class Predictions {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** As that of jobs. */
  async replay(owner: string, use: IdempotencyUse): Promise<ReplayedPrediction | null> {
    const used = await usedBefore(this.#database, owner, use);
    if (used === null) return null;
    if (!used.isSame) return { outcome: "mismatch" };
    const record = await this.get(owner, used.id);
    return record && { outcome: "replayed", record };
  }

  /** @throws OverLimit, NoRoom */
  async create(prediction: NewPrediction): Promise<CreatedPrediction> {
    const { id, owner, job_id, datasets, split, which, fold, seed, unseen, weights_sha256 } = prediction;
    const event: NewEvent = { type: "created", message: "Created.", step: null, data: null };
    const traced = prediction.trace === null ? {} : { trace: prediction.trace };
    const chosen = Object.fromEntries(Object.entries({ split, fold, seed }).filter(([, value]) => value !== null));
    const record = { ...chosen, which, unseen, weights_sha256, total_steps: prediction.rows, priority: 0, ...traced };
    const [outcome, detail] = await this.#database.run<[CreatedPrediction["outcome"], number | string]>(
      "create_prediction",
      keys.job(owner, id),
      ...useArguments(prediction.idempotency),
      datasets.join(" "),
      job_id,
      PREDICTION_BYTES,
      prediction.resultBytes,
      MAX_PREDICTIONS,
      JSON.stringify(event),
      ...Object.entries(record).flat(),
    );
    if (outcome === "replayed") return { outcome, record: (await this.get(owner, String(detail)))! };
    if (outcome !== "created") return { outcome };
    crashPoint("after-record");
    return { outcome, record: (await this.get(owner, id))!, wake: detail === 1 };
  }

  /** With `jobId`, null also if it predicts with another job's model. */
  async get(owner: string, id: string, jobId?: string): Promise<BatchPrediction | null> {
    return (await this.#read(owner, id, jobId))?.record ?? null;
  }

  /** Newest first; null if there is no such job. */
  async list(owner: string, jobId: string, { limit, after }: PageOptions): Promise<Page<BatchPrediction> | null> {
    const job = keys.job(owner, jobId);
    const { below, from } = idsOf("pred_", after);
    const [exists, ids] = await this.#database.use((redis) =>
      Promise.all([redis.exists(job), redis.zrevrangebylex(keys.predictions(job), below, from, "LIMIT", 0, limit + 1)]),
    );
    const found = await Promise.all(ids.slice(0, limit).map((id) => this.get(owner, id)));
    return exists ? pageOf(ids, found, limit) : null;
  }

  /** The ids of all predictions with a job's model. */
  async idsOf(owner: string, jobId: string): Promise<string[]> {
    return await this.#database.use((redis) => redis.zrange(keys.predictions(keys.job(owner, jobId)), "0", "-1"));
  }

  async cancel(owner: string, id: string): Promise<ChangedPrediction<"cancelled" | "cancelling" | "already">> {
    const outcome = await this.#database.run<"cancelled" | "cancelling" | "already" | "wrong_status" | "missing">(
      "cancel",
      keys.job(owner, id),
    );
    const found = await this.#read(owner, id);
    return outcome === "missing" || found === null ? null : { outcome, ...found };
  }

  /** Deletes one that has ended. Its file is left. */
  async remove(owner: string, id: string): Promise<ChangedPrediction<"removed">> {
    const before = await this.#read(owner, id);
    const outcome = await this.#database.run<"removed" | "wrong_status" | "missing">("remove_job", keys.job(owner, id));
    return outcome === "missing" || before === null ? null : { outcome, ...before };
  }

  /** How many bytes the result may have of a prediction that runs; null: it does not run. */
  async expected(owner: string, id: string): Promise<number | null> {
    const [status, bytes] = await this.#database.use((redis) =>
      redis.hmget(keys.job(owner, id), "status", "result_bytes"),
    );
    return status === "running" || status === "cancelling" ? Number(bytes) : null;
  }

  async #read(owner: string, id: string, jobId?: string) {
    const values = await this.#database.use((redis) => redis.hmget(keys.job(owner, id), ...fields));
    const found = named(fields, values);
    if (found.status === null || (jobId !== undefined && found.model_job !== jobId)) return null;
    return { record: toPrediction(id, found) };
  }
}

function toPrediction(id: string, record: Fields<(typeof fields)[number]>): BatchPrediction {
  const report = (JSON.parse(record.progress ?? "null") as ProgressReport | null) ?? atTheBeginning;
  const result = JSON.parse(record.result ?? "null") as PredictionResult | null;
  const error = JSON.parse(record.error ?? "null") as JobError | null;
  const datasets = record.dataset!.split(" ");
  const [rows, total] = [result?.rows ?? report.step, Number(record.total_steps)];
  return {
    id,
    job_id: record.model_job!,
    dataset: datasets.length === 1 ? datasets[0] : datasets,
    split: record.split as BatchPrediction["split"],
    which: record.which as BatchPrediction["which"],
    fold: record.fold === null ? null : Number(record.fold),
    seed: record.seed === null ? null : Number(record.seed),
    unseen: record.unseen as BatchPrediction["unseen"],
    weights_sha256: record.weights_sha256!,
    status: record.status as BatchPrediction["status"],
    created_at: toTime(record.created_at!),
    started_at: toTime(record.started_at),
    finished_at: toTime(record.finished_at),
    run: Number(record.run),
    progress: { rows, total_rows: total, progress: rows / total, updated_at: toTime(record.updated_at) },
    result,
    error: error && {
      code: error.code as PredictionFailureCode,
      message: error.message,
      suggestion: error.suggestion,
    },
  };
}
