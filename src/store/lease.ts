/**
 * The lease: a run's right to write, and everything that it may write.
 *
 * A lease is {run, token, expires_at}, by Redis' clock. It lapses unless it is renewed. Then any
 * worker may take the job, which raises `run` and draws a new token (lua/shared/begin.lua). Every
 * write below compares both (`fence` in lua/shared/job.lua), and throws LeaseLost if they are not
 * the latest. So a process that stood still for a minute and comes back cannot overwrite what its
 * successor wrote.
 *
 * States and models are uploaded first, in chunks that expire. Then one script commits them
 * together with what is recorded about them. So readers never see half of anything, and a run that
 * dies in between leaves nothing behind. Small ones go with that script: one script and one sync to
 * disk end a small job.
 */
import { crashPoint } from "../crash-point.ts";
import type { PredictionFailureCode, PredictionResult } from "../contract/wire/batch-prediction.ts";
import type { Checkpoint } from "../contract/wire/checkpoint.ts";
import type { JobError, JobResult, JobStatus } from "../contract/wire/job.ts";
import { CARRIED_BYTES, eachChunk, readBlob, type Blob, type Source } from "./blobs.ts";
import type { Database } from "./database.ts";
import { Damaged, LeaseLost } from "./errors.ts";
import { packEvents } from "./events.ts";
import { keys } from "./keys.ts";
import { renew, type Blame } from "./renew.ts";
import type { ModelRecord } from "./models.ts";
import type { ShardResult } from "./sets.ts";
import { placeFields, takenOf, type Claimed, type Hold, type Place, type Taken, type TakenAnswer } from "./taken.ts";
import { type MetricRow, type NewEvent, type Origin, type ProgressReport, type RecordedChange } from "./record.ts";
import { packRows, sliced } from "./rows.ts";
import { checkpointIn, workFields, workOf, type Work, type WorkValues } from "./work.ts";

/** How many slices of rows go with the script that explains them: a complete one and the last. */
const LAST_SLICES = 2;

export interface State extends Blob, Pick<Checkpoint, "step" | "sha256" | "kinds" | "metrics"> {
  /**
   * Which state is the best: the one with the least score. Null if the job does not keep its best
   * state.
   */
  score: number | null;
}

/** Which checkpoints stay. */
export interface Retention {
  keepLast: number;
  keepBest: boolean;
  /**
   * The step to which training would be rewound from here. A state at or before it must stay.
   * Null: this job is never rewound.
   */
  rewindStep: number | null;
}

/** What a commit records besides the state. */
export interface News {
  progress: ProgressReport;
  event: NewEvent;
  rows: readonly MetricRow[];
  since?: number | null;
}

type Purpose = "state" | "final" | "best";

export interface Ending {
  status: "succeeded" | "failed" | "cancelled";
  result?: JobResult | PredictionResult | ShardResult;
  error?: Omit<JobError, "code"> & { code: JobError["code"] | PredictionFailureCode };
  model?: ModelRecord;
  state?: State;
  /** Null: the last report stands. */
  progress: ProgressReport | null;
  models?: Partial<Record<"final" | "best", Blob & { sha256: string }>>;
  events: NewEvent[];
  since?: number | null;
}

/** The claimed job that begins when another ends, and where. */
export interface Next {
  claimed: Claimed;
  place: Place;
}

/**
 * Rows of metrics in the order of their steps are written so that they replace all rows from their
 * first step on (rows.ts). `since` is the last step before them that this run has written, if there
 * is one that Redis must still have; if it has lost it, RowsLost is thrown.
 */
export class Lease {
  readonly owner: string;
  readonly jobId: string;
  readonly run: number;
  readonly #database: Database;
  readonly #token: string;
  readonly #job: string;
  #answered = 0;
  #carried = 0;
  /**
   * Whether small files go with the script that commits them. A Redis that is full refuses the
   * script. An upload can wait for room.
   */
  carries = true;

  constructor(database: Database, { owner, jobId, run, token }: Hold) {
    this.#database = database;
    this.owner = owner;
    this.jobId = jobId;
    this.run = run;
    this.#token = token;
    this.#job = keys.job(owner, jobId);
  }

  get hold(): Hold {
    const { owner, jobId, run } = this;
    return { owner, jobId, run, token: this.#token };
  }

  /** @param known what came with the job (taken.ts); null: it is read */
  async work(known: WorkValues | null = null): Promise<Work> {
    const values = known ?? (await this.#database.use((redis) => redis.hmget(this.#job, ...workFields)));
    const step = checkpointIn(values);
    return await workOf(values, step === null ? null : await this.#manifest(step));
  }

  /** The bytes of a committed checkpoint. @throws Damaged */
  async checkpointBytes(step: number): Promise<Buffer> {
    const { blob, bytes, sha256 } = await this.#manifest(String(step));
    if (blob === undefined) throw new Damaged("checkpoint");
    return await readBlob(this.#source, { blob, bytes: Number(bytes), sha256 });
  }

  /** @throws Damaged */
  async originBytes({ bytes, sha256 }: Origin): Promise<Buffer> {
    return await readBlob(this.#source, { blob: "origin", bytes, sha256 });
  }

  /**
   * Gives up the last checkpoint, which is damaged. The job goes on from the checkpoint before it,
   * or starts again where it began. `stuck`: it has neither, and nothing has changed.
   */
  async fallBack(step: number): Promise<"done" | "stuck"> {
    return await this.#run("fall_back", step);
  }

  /** Returns the job's status, which says what is wanted of the run. */
  async renew(leaseMs: number, blame: Blame = "own"): Promise<JobStatus> {
    const [status] = await renew(this.#database, leaseMs, [{ ...this.hold, blame }]);
    if (status === null) throw new LeaseLost("the lease is someone else's");
    return status;
  }

  /** The run lost its lease but did not die: its loss is no crash of the job. */
  async retractCrash(): Promise<void> {
    await this.#run("retract_crash");
  }

  /**
   * How many of the run's writes Redis has answered so far. Writes at regular intervals do not
   * count.
   */
  get answered(): number {
    return this.#answered;
  }

  /**
   * `number` counts this run's reports. A report that is sent again because its answer was lost is
   * written once.
   */
  async report(
    number: number,
    progress: ProgressReport,
    events: NewEvent[],
    rows: readonly MetricRow[],
    since: number | null = null,
  ): Promise<void> {
    await this.#run(
      "report",
      number,
      JSON.stringify(progress),
      texts(events),
      ...(await this.#putAllButLast(sliced(rows, true), since)),
    );
  }

  /**
   * Uploads a file, or prepares it to be carried if it is small. Returns null if there is no room.
   */
  async store(bytes: Uint8Array, purpose: Purpose): Promise<Blob | null> {
    if (!this.carries || bytes.byteLength > CARRIED_BYTES) return await this.upload(bytes, purpose);
    const blob = `${this.run}.${this.#token}.c${++this.#carried}.${purpose}`;
    return { blob, bytes: bytes.byteLength, carried: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength) };
  }

  /**
   * Returns null if there is no room. An upload that is not committed expires, or is deleted by
   * the next upload for the same purpose.
   */
  async upload(bytes: Uint8Array, purpose: Purpose = "state"): Promise<Blob | null> {
    const blob = await this.#run<string | null>("upload", bytes.byteLength, purpose);
    if (blob === null) return null;
    try {
      await eachChunk(bytes, (number, chunk) => this.#run("chunk", blob, number, chunk));
    } catch (error) {
      await this.abandon(blob).catch(() => undefined);
      throw error;
    }
    return { blob, bytes: bytes.byteLength };
  }

  async abandon(blob: string): Promise<void> {
    await this.#run("abandon", blob);
  }

  /**
   * Makes a state the checkpoint from which the job resumes. Everything up to its step, and
   * everything that was reported before, is permanent from here on.
   */
  async commit(state: State, retention: Retention, news: News): Promise<void> {
    crashPoint("before-commit");
    const change = {
      ...packed(state),
      keep_last: retention.keepLast,
      keep_best: retention.keepBest,
      rewind_step: retention.rewindStep,
      progress: JSON.stringify(news.progress),
      event: JSON.stringify(news.event),
    };
    await this.#commit("commit", change, [state], await this.#putAllButLast(sliced(news.rows, true), news.since));
    crashPoint("after-commit");
  }

  /**
   * Drops what came after a step. From here on the job resumes from a state at or before that
   * step, with `changes`: all rewinds so far.
   */
  async rewind(step: number, changes: RecordedChange[], event: NewEvent): Promise<void> {
    crashPoint("before-rewind");
    await this.#run("rewind", step, JSON.stringify(changes), JSON.stringify(event));
    crashPoint("after-rewind");
  }

  /**
   * Ends the job, and begins the next one in the same script. Returns what has begun; null: nothing
   * should, or that job is not ours any more or must wait.
   */
  async finish(ending: Ending, rows: readonly MetricRow[], next: Next | null = null): Promise<Taken | null> {
    if (ending.status === "succeeded") crashPoint("before-final-commit");
    const models = ending.models ?? {};
    const { events, packs } = packEvents(ending.events);
    const documents = { result: ending.result, error: ending.error, model: ending.model, progress: ending.progress };
    const change = {
      status: ending.status,
      fields: Object.fromEntries(
        Object.entries(documents).flatMap(([field, document]) => (document ? [[field, JSON.stringify(document)]] : [])),
      ),
      state: ending.state ? packed(ending.state) : null,
      models: Object.fromEntries(
        Object.entries(models).map(([which, { blob, bytes, sha256 }]) => [which, { blob, bytes, sha256 }]),
      ),
      events,
      packed: packs.length,
      next: next && {
        record: keys.job(next.claimed.owner, next.claimed.jobId),
        token: next.claimed.token,
        place: placeFields(next.place),
      },
    };
    const blobs = [...(ending.state ? [ending.state] : []), ...Object.values(models)];
    const slices = await this.#putAllButLast(sliced(rows, false), ending.since);
    const taken = await this.#commit<TakenAnswer | null>("finish", change, blobs, [...packs, ...slices]);
    if (ending.status === "succeeded") crashPoint("after-final-commit");
    return taken && takenOf(taken);
  }

  /**
   * Gives the job back, so that another run continues it, and records what was not yet reported.
   * Returns the status: `queued`, or another if the job was to be paused or cancelled. `yields`:
   * it waits some seconds for what it lacks, and the owner's other jobs go first. `large`: it is no
   * small job, whatever was estimated.
   */
  async release(requeued: NewEvent, events: NewEvent[] = [], yields = false, large = false): Promise<JobStatus> {
    crashPoint("during-release");
    return await this.#run("release", JSON.stringify(requeued), texts(events), Number(yields), Number(large));
  }

  get #source(): Source {
    return { database: this.#database, job: this.#job, kind: "checkpoint" };
  }

  /** Runs a script that makes these blobs permanent. */
  async #commit<T>(
    script: "commit" | "finish",
    change: object,
    blobs: readonly Blob[],
    others: readonly (string | Buffer)[],
  ): Promise<T> {
    const carried = blobs.filter((blob) => blob.carried !== undefined);
    const text = JSON.stringify({ ...change, carried: carried.map(({ blob }) => blob) });
    const contents = carried.map((blob) => blob.carried!);
    return await this.#run(script, text, ...contents, ...others);
  }

  async #run<T>(script: string, ...args: (string | number | Buffer)[]): Promise<T> {
    const answer = await this.#database.run<T>(script, this.#job, this.run, this.#token, ...args);
    if (script !== "report") this.#answered++;
    return answer;
  }

  /**
   * Writes all rows except the last slices. These are returned, and go with the script that needs
   * the rows. If the run dies before that script, the next run drops the rows.
   */
  async #putAllButLast(slices: MetricRow[][], since: number | null = null): Promise<(string | Buffer)[]> {
    const last = Math.max(0, slices.length - LAST_SLICES);
    let before = since;
    for (const slice of slices.slice(0, last)) {
      await this.#run("add_rows", before ?? "", packRows(slice));
      before = slice.at(-1)!.step;
    }
    return [String(before ?? ""), ...slices.slice(last).map(packRows)];
  }

  async #manifest(step: string): Promise<Record<string, string>> {
    return await this.#database.use((redis) => redis.hgetall(keys.checkpoint(this.#job, step)));
  }
}

/** The state as lua/shared/job.lua takes it. */
function packed({ step, blob, bytes, sha256, kinds, metrics, score }: State) {
  return {
    step,
    blob,
    bytes,
    sha256,
    kinds: kinds.join(","),
    metrics: JSON.stringify(metrics),
    score: score === null ? "" : String(score),
  };
}

function texts(events: NewEvent[]): string {
  return JSON.stringify(events.map((event) => JSON.stringify(event)));
}
