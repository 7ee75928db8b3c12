/**
 * What the API does with jobs. Owners see only their own jobs: the id of another owner's job is as
 * unknown as one that never existed.
 */
import type { Inherited } from "../contract/resolve/encoders.ts";
import { crashPoint } from "../crash-point.ts";
import { diagnosisOf, type Diagnosis } from "../contract/schema/diagnosis.ts";
import type { ResolvedSpec } from "../contract/schema/spec.ts";
import type { Checkpoint } from "../contract/wire/checkpoint.ts";
import type { Page } from "../contract/wire/common.ts";
import type { Event } from "../contract/wire/event.ts";
import type { Job, JobSummary, Progress } from "../contract/wire/job.ts";
import type { ModelDescription } from "../contract/wire/model.ts";
import { readBlob, readHead, type StoredBlob } from "./blobs.ts";
import type { Database } from "./database.ts";
import { Damaged, type StoredKind } from "./errors.ts";
import { keys } from "./keys.ts";
import {
  jobFields,
  named,
  summaryFields,
  toCheckpoint,
  toEvent,
  toJob,
  toProgress,
  type MetricRow,
  type ProgressReport,
  type RecordedChange,
  idsIn,
} from "./record.ts";
import {
  createdEvent,
  jobOf,
  originOf,
  recordOf,
  type BatchBegun,
  type Created,
  type NewJob,
  type Promised,
  type Replayed,
  type Reserved,
} from "./new-job.ts";
import { usedBefore, useArguments, type IdempotencyUse } from "./idempotency.ts";
import { listJobs, summariesOf, type JobQuery } from "./job-list.ts";
import { describe, type ModelRecord } from "./models.ts";
import { copyOrigin, putOrigin } from "./origin.ts";
import { page, pageOf, type PageOptions } from "./pages.ts";
import type { Room } from "./room.ts";

/** Enough for the header of any state: some thousand tensors of a hundred bytes each. */
const HEAD_BYTES = 2 * 1024 * 1024;

/** How many rows of metrics are read at a time. */
const ROWS = 500;

/**
 * The outcome of a request to change a job. `delivery` is the job's latest, for its `turn`. Null:
 * there is no such job.
 */
export type Changed<Outcome extends string> = {
  outcome: Outcome | "wrong_status";
  record: Job;
  delivery: number;
  turn: number;
} | null;

type Removed = "removed" | "wrong_status" | "missing";

interface TrainedOn {
  readonly spec: ResolvedSpec;
  /** The ids of its datasets. */
  readonly datasets: readonly string[];
  readonly inherited: Inherited | null;
  readonly model: ModelRecord | null;
}

export class Jobs {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /**
   * What an idempotency key was used for, or null. With it the API need not check a spec that was
   * accepted before.
   */
  async replay(owner: string, use: IdempotencyUse): Promise<Replayed | null> {
    const used = await usedBefore(this.#database, owner, use);
    if (used === null) return null;
    if (!used.isSame) return { outcome: "mismatch", record: null };
    const record = await this.get(owner, used.id);
    return record && { outcome: "replayed", record };
  }

  /**
   * Promises a job its room before any of its data are stored. Afterwards the job is created, or
   * `unreserve` gives the room back.
   * @throws OverLimit, NoRoom
   */
  async reserve({ owner, id, idempotency, room }: Promised): Promise<Reserved | Replayed> {
    const [key, , body] = useArguments(idempotency);
    const [outcome, detail] = await this.#database.run<[(Reserved | Replayed)["outcome"], string?]>(
      "reserve",
      keys.job(owner, id),
      key,
      body,
      room.bytes,
    );
    if (outcome === "replayed") return { outcome, record: (await this.get(owner, detail!))! };
    return { outcome, record: null };
  }

  /**
   * Checks that a job could be promised its room now.
   * @throws OverLimit, NoRoom
   */
  async askRoom(owner: string, { bytes }: Room): Promise<void> {
    await this.#database.run("ask_room", keys.job(owner, "asked"), bytes);
  }

  /** Gives up a job that was not created. */
  async unreserve({ owner, id, room, ...beginning }: Promised): Promise<void> {
    await this.#database.run("unreserve", keys.job(owner, id), room.bytes, originOf(beginning)?.bytes ?? 0);
  }

  /** @throws OverLimit, NoRoom */
  async create(job: NewJob): Promise<Created | Replayed> {
    const { idempotency, fork, start, room } = job;
    if (start !== null) await putOrigin(this.#database, job, start.bytes);
    if (fork !== null && !(await copyOrigin(this.#database, job, fork)))
      return { outcome: "origin_missing", record: null };
    const fields = recordOf(job);
    type Answer = [(Created | Replayed)["outcome"], (string | number)?, number?];
    const [outcome, detail, time] = await this.#database.run<Answer>(
      "create",
      keys.job(job.owner, job.id),
      ...useArguments(idempotency),
      job.datasetIds.join(" "),
      room.bytes,
      originOf(job)?.bytes ?? "",
      JSON.stringify(createdEvent(job)),
      job.weightsId ?? "",
      ...Object.entries(fields).flat(),
    );
    if (outcome === "replayed") return { outcome, record: (await this.get(job.owner, String(detail)))! };
    if (outcome !== "created") return { outcome, record: null };
    crashPoint("after-record");
    return { outcome, record: jobOf(job.id, fields, time!), turn: Number(detail) };
  }

  /**
   * Begins a batch of jobs. What its idempotency key was used for before is answered; `firstId`:
   * the id of its first job. The others have the ids that follow (new-job.ts).
   */
  async beginBatch(owner: string, firstId: string, use: IdempotencyUse): Promise<BatchBegun> {
    const [outcome, first] = await this.#database.run<[BatchBegun["outcome"], string]>(
      "begin_batch",
      keys.job(owner, firstId),
      ...useArguments(use),
    );
    return { outcome, firstId: first };
  }

  /** As in lists; null for a job that is not there. */
  async summaries(owner: string, ids: readonly string[]): Promise<(JobSummary | null)[]> {
    return await summariesOf(this.#database, owner, ids);
  }

  async get(owner: string, id: string): Promise<Job | null> {
    const fields = await this.#fields(owner, id, jobFields);
    return fields && toJob(id, fields);
  }

  async progress(owner: string, id: string): Promise<Progress | null> {
    const fields = await this.#fields(owner, id, summaryFields);
    return fields && toProgress(id, fields);
  }

  /**
   * What a job trains on, and how. The dataset may have been deleted after the job ended. `model`
   * is null before it has succeeded.
   */
  async trainedOn(owner: string, id: string): Promise<TrainedOn | null> {
    const fields = await this.#fields(owner, id, ["status", "spec", "dataset", "encoders", "model"]);
    return (
      fields && {
        spec: JSON.parse(fields.spec!) as ResolvedSpec,
        datasets: idsIn(fields.dataset),
        inherited: JSON.parse(fields.encoders ?? "null") as Inherited | null,
        model: JSON.parse(fields.model ?? "null") as ModelRecord | null,
      }
    );
  }

  async diagnosis(owner: string, id: string): Promise<Diagnosis | null> {
    const fields = await this.#fields(owner, id, [...jobFields, "changes"]);
    if (fields === null) return null;
    const report = JSON.parse(fields.progress ?? "null") as ProgressReport | null;
    const recorded = JSON.parse(fields.changes ?? "[]") as RecordedChange[];
    // Changes without a finding are the parent's.
    const changes = recorded.flatMap(({ finding, ...change }) => (finding === null ? [] : [change]));
    return diagnosisOf(toJob(id, fields), report?.findings ?? [], changes);
  }

  /** Newest first. */
  async list(owner: string, query: JobQuery): Promise<Page<JobSummary>> {
    return await listJobs(this.#database, owner, query);
  }

  /**
   * `cancelled`: the job ended at once, so nobody needs its delivery. `already`: it was cancelled
   * before.
   */
  async cancel(owner: string, id: string): Promise<Changed<"cancelled" | "cancelling" | "already">> {
    return await this.#change("cancel", owner, id);
  }

  /** `paused`: the job was paused at once, so nobody needs its delivery. */
  async pause(owner: string, id: string): Promise<Changed<"paused" | "pausing">> {
    return await this.#change("pause", owner, id);
  }

  /** `queued`: the caller must deliver the job. */
  async resume(owner: string, id: string): Promise<Changed<"queued">> {
    return await this.#change("resume", owner, id);
  }

  /** Deletes a job that has ended, and the predictions with its model. */
  async remove(owner: string, id: string): Promise<Changed<"removed" | "in_use">> {
    const before = await this.#withDelivery(owner, id);
    const outcome = await this.#database.run<Removed | "in_use">("remove_job", keys.job(owner, id));
    return before === null || outcome === "missing" ? null : { outcome, ...before };
  }

  /**
   * Rows as JSON, in ascending order of steps, a few hundred at a time. Training and evaluation
   * have rows of their own. If there is no such job, yields nothing, not even an empty list.
   */
  async *metricPages(owner: string, id: string, fromStep = 0, toStep = Infinity): AsyncGenerator<string[]> {
    const job = keys.job(owner, id);
    if ((await this.#database.use((redis) => redis.exists(job))) === 0) return;
    const to = toStep === Infinity ? "+inf" : toStep;
    // The rows of the last step that were already yielded. More rows of that step may follow.
    let given: string[] = [];
    for (let from = String(fromStep); ;) {
      const rows = await this.#database.use((redis) =>
        redis.zrangebyscore(keys.metrics(job), from, to, "LIMIT", 0, ROWS + given.length),
      );
      yield rows.filter((row) => !given.includes(row));
      if (rows.length < ROWS + given.length) return;
      from = String((JSON.parse(rows.at(-1)!) as MetricRow).step);
      given = rows.filter((row) => (JSON.parse(row) as MetricRow).step === Number(from));
    }
  }

  /** Oldest first. */
  async events(owner: string, id: string, { limit, after }: PageOptions): Promise<Page<Event> | null> {
    const job = keys.job(owner, id);
    const from = Number.parseInt(after ?? "", 10) || 0;
    const [exists, texts] = await this.#database.use((redis) =>
      Promise.all([redis.exists(job), redis.lrange(keys.events(job), from, from + limit)]),
    );
    const events = texts.map((text, i) => toEvent(from + i + 1, text));
    return exists ? page(events, limit, (event) => event.id) : null;
  }

  /** Newest first. */
  async checkpoints(owner: string, id: string, { limit, after }: PageOptions): Promise<Page<Checkpoint> | null> {
    const job = keys.job(owner, id);
    const step = Number.parseInt(after ?? "", 10);
    const below = Number.isNaN(step) ? "+inf" : `(${step}`;
    const [exists, steps] = await this.#database.use((redis) =>
      Promise.all([
        redis.exists(job),
        redis.zrevrangebyscore(keys.checkpoints(job), below, "-inf", "LIMIT", 0, limit + 1),
      ]),
    );
    const manifests = await this.#database.use((redis) =>
      Promise.all(steps.map((step) => redis.hgetall(keys.checkpoint(job, step)))),
    );
    const found = steps.map((step, i) => (manifests[i].blob ? toCheckpoint(step, manifests[i]) : null));
    return exists ? pageOf(steps, found, limit) : null;
  }

  /**
   * A checkpoint's manifest and blob, and the beginning of its file, which says what the file
   * holds. Null if the checkpoint is gone.
   * @throws Damaged
   */
  async checkpointHead(owner: string, id: string, step: number) {
    const job = keys.job(owner, id);
    const key = keys.checkpoint(job, String(step));
    const manifest = await this.#database.use((redis) => redis.hgetall(key));
    const file = await this.#file(job, key, "checkpoint", (source, blob) => readHead(source, blob, HEAD_BYTES));
    if (!manifest.blob || file?.sha256 !== manifest.sha256) return null;
    return { checkpoint: toCheckpoint(String(step), manifest), blob: manifest.blob, head: file.bytes };
  }

  /** @throws Damaged */
  async checkpointBytes(owner: string, id: string, step: number): Promise<Buffer | null> {
    const job = keys.job(owner, id);
    const file = await this.#file(job, keys.checkpoint(job, String(step)), "checkpoint", readBlob);
    return file && file.bytes;
  }

  /** @throws Damaged */
  async model(owner: string, id: string, which: "final" | "best"): Promise<{ bytes: Buffer; sha256: string } | null> {
    const job = keys.job(owner, id);
    return await this.#file(job, keys.model(job, which), "model", readBlob);
  }

  async description(owner: string, id: string): Promise<ModelDescription | null> {
    const fields = await this.#fields(owner, id, [...summaryFields, "model"]);
    return fields && describe(id, fields);
  }

  /** Null if there is no such job, or if it has no model. */
  async evaluation(owner: string, id: string): Promise<Pick<ModelRecord, "target" | "evaluation"> | null> {
    const fields = await this.#fields(owner, id, ["model"]);
    return fields && (JSON.parse(fields.model ?? "null") as ModelRecord | null);
  }

  async #change<Outcome extends string>(script: string, owner: string, id: string): Promise<Changed<Outcome>> {
    const outcome = await this.#database.run<Outcome | "wrong_status" | "missing">(script, keys.job(owner, id));
    const after = await this.#withDelivery(owner, id);
    return after && { outcome: outcome as Outcome | "wrong_status", ...after };
  }

  async #withDelivery(owner: string, id: string): Promise<{ record: Job; delivery: number; turn: number } | null> {
    const fields = await this.#fields(owner, id, [...jobFields, "delivery", "turn"]);
    return fields && { record: toJob(id, fields), delivery: Number(fields.delivery), turn: Number(fields.turn) };
  }

  async #fields<F extends string>(owner: string, id: string, fields: readonly (F | "status")[]) {
    const values = await this.#database.use((redis) => redis.hmget(keys.job(owner, id), ...fields));
    const found = named(fields, values);
    return found.status === null ? null : found;
  }

  /** Reads, with `read`, the blob that a record names. */
  async #file(job: string, record: string, kind: StoredKind, read: typeof readBlob) {
    const look = async (): Promise<StoredBlob | null> => {
      const fields = await this.#database.use((redis) => redis.hmget(record, "blob", "bytes", "sha256"));
      const [blob, bytes, sha256] = fields;
      return blob && sha256 ? { blob, bytes: Number(bytes), sha256 } : null;
    };
    const blob = await look();
    if (blob === null) return null;
    try {
      return { bytes: await read({ database: this.#database, job, kind }, blob), sha256: blob.sha256 };
    } catch (error) {
      // The blob may have been dropped while it was read.
      if (error instanceof Damaged && (await look())?.blob !== blob.blob) return null;
      throw error;
    }
  }
}
