/**
 * What the API does with jobs. Owners see only their own jobs: the id of another owner's job is as
 * unknown as one that never existed.
 */
import type { Inherited } from "../contract/resolve/encoders.ts";
import { crashPoint } from "../crash-point.ts";
import { diagnosisOf } from "../contract/diagnosis.ts";
import type { Diagnosis } from "../contract/schema/diagnosis.ts";
import type { ResolvedSpec } from "../contract/schema/spec.ts";
import type { Page } from "../contract/wire/common.ts";
import type { Job, JobSummary, Progress } from "../contract/wire/job.ts";
import type { ModelDescription } from "../contract/wire/model.ts";
import type { Archive } from "./archive/archive.ts";
import { readRecord } from "./archive/kept.ts";
import type { Database } from "./database.ts";
import { keys } from "./keys.ts";
import {
  jobFields,
  summaryFields,
  toJob,
  toProgress,
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
  type Fork,
  type NewJob,
  type Promised,
  type Replayed,
  type Reserved,
} from "./new-job.ts";
import { usedBefore, useArguments, type IdempotencyUse } from "./idempotency.ts";
import { JobResults } from "./job-results.ts";
import { listJobs, summariesOf, type JobQuery } from "./job-list.ts";
import { describe, type ModelRecord } from "./models.ts";
import { copyOrigin, putOrigin } from "./origin.ts";
import type { Room } from "./room.ts";

/** The outcome of a request to change a job. Null: there is no such job. */
export type Changed<Outcome extends string, Record extends Pick<Job, "status"> = Job> = {
  outcome: Outcome | "wrong_status";
  record: Record;
} | null;

type Removed = "removed" | "wrong_status" | "missing";

interface TrainedOn {
  readonly spec: ResolvedSpec;
  /** The ids of its datasets. */
  readonly datasets: readonly string[];
  readonly inherited: Inherited | null;
  readonly model: ModelRecord | null;
}

export class Jobs extends JobResults {
  readonly #database: Database;
  readonly #archive: Archive;

  constructor(database: Database, archive: Archive) {
    super(database, archive);
    this.#database = database;
    this.#archive = archive;
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
    if (fork !== null && !(await this.#copyOrigin(job, fork))) return { outcome: "origin_missing", record: null };
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
    return { outcome, record: jobOf(job.id, fields, time!), wake: detail === 1 };
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
    return await summariesOf(this.#database, this.#archive, owner, ids);
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
    return await listJobs(this.#database, this.#archive, owner, query);
  }

  /** `cancelled`: the job ended at once. `already`: it was cancelled before. */
  async cancel(owner: string, id: string): Promise<Changed<"cancelled" | "cancelling" | "already">> {
    return await this.#change("cancel", owner, id);
  }

  /** `paused`: the job was paused at once. */
  async pause(owner: string, id: string): Promise<Changed<"paused" | "pausing">> {
    return await this.#change("pause", owner, id);
  }

  /** `wake`: a wake-up must be added to the queue. */
  async resume(owner: string, id: string): Promise<(NonNullable<Changed<"queued">> & { wake: boolean }) | null> {
    type Answer = ["queued" | "wrong_status" | "missing", number?];
    const [outcome, wake] = await this.#database.run<Answer>("resume", keys.job(owner, id));
    const record = await this.get(owner, id);
    return outcome === "missing" || record === null ? null : { outcome, record, wake: wake === 1 };
  }

  /** Deletes a job that has ended, and the predictions with its model. */
  /** Also if the archive is out of reach, or damaged. */
  async remove(owner: string, id: string): Promise<Changed<"removed" | "in_use", JobSummary>> {
    const [record] = await this.summaries(owner, [id]);
    const outcome = await this.#database.run<Removed | "in_use">("remove_job", keys.job(owner, id));
    return record === null || outcome === "missing" ? null : { outcome, record };
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

  /** Returns false if the parent's checkpoint is gone. */
  async #copyOrigin(job: NewJob, fork: Fork): Promise<boolean> {
    if (await copyOrigin(this.#database, job, fork)) return true;
    const { job_id: parent, step } = fork.parent;
    const file = await this.checkpointFile(job.owner, parent, step);
    if (file?.sha256 !== fork.origin.sha256) return false;
    await putOrigin(this.#database, job, file.bytes);
    return true;
  }

  async #change<Outcome extends string>(script: string, owner: string, id: string): Promise<Changed<Outcome>> {
    const outcome = await this.#database.run<Outcome | "wrong_status" | "missing">(script, keys.job(owner, id));
    const record = await this.get(owner, id);
    return record && { outcome: outcome as Outcome | "wrong_status", record };
  }

  async #fields<F extends string>(owner: string, id: string, fields: readonly (F | "status")[]) {
    return await readRecord(this.#database, this.#archive, keys.job(owner, id), fields);
  }
}
