/**
 * Records of studies and their trials. A trial's jobs are jobs like others. Their ids follow from
 * the study's record, so that a controller that comes after another creates no job twice.
 */
import type { Page } from "../contract/wire/common.ts";
import type { Study, StudyEvent, StudyRequest, StudyStatus, Trial } from "../contract/wire/study.ts";
import { MAX_STUDIES } from "../contract/wire/study.ts";
import type { Database } from "./database.ts";
import { usedBefore, useArguments, type IdempotencyUse } from "./idempotency.ts";
import { keys } from "./keys.ts";
import { idAfter } from "./new-job.ts";
import { page, pageOf, type PageOptions } from "./pages.ts";
import { named, toTime, type Fields } from "./record.ts";

/** What is fixed when a study is created, with the data of its spec in a dataset. */
export interface StudySettings extends Omit<StudyRequest, "trials" | "direction"> {
  readonly direction: Study["direction"];
  readonly trials: number;
  readonly epochs: number;
}

export interface NewStudy {
  readonly id: string;
  readonly owner: string;
  readonly settings: StudySettings;
  readonly datasetIds: readonly string[];
  /** The id of the first trial's first job. */
  readonly firstJob: string;
  /** The most bytes that the values, thresholds and rungs of a trial have as JSON. */
  readonly trialText: number;
  readonly idempotency: IdempotencyUse | null;
}

/** A trial as it is stored, after its jobs were created. */
export interface StoredTrial extends Omit<Trial, "jobs" | "from"> {
  /** The trial that it goes on from. */
  readonly from?: number;
}

export type CreatedStudy =
  | { outcome: "created" | "replayed"; record: Study }
  | { outcome: "mismatch"; record: null }
  | { outcome: "dataset_missing"; record: null };

export type ChangedStudy = { outcome: "changed" | "wrong_status"; record: Study } | null;

export interface StudyChange {
  readonly to: StudyStatus;
  readonly from: readonly StudyStatus[];
  readonly event: Pick<StudyEvent, "type" | "message" | "data">;
  readonly fields?: Readonly<Record<string, string | number>>;
}

const fields = [
  "settings",
  "status",
  "created_at",
  "finished_at",
  "first_job",
  "ended_succeeded",
  "ended_pruned",
  "ended_failed",
  "ended_cancelled",
  "best_trial",
  "best_value",
  "trials_sha256",
  "prefix",
  "held",
  "extended_at",
] as const;
type Field = (typeof fields)[number];

interface Known {
  readonly settings: StudySettings;
  /** The id of the first trial's first job. */
  readonly firstJob: string;
}

export interface StudyRecord extends Known {
  readonly status: StudyStatus;
  /** When it was created, or was given more trials. */
  readonly begunAt: number;
  /** How many of the first trials had ended when its time was over; null: that was not so. */
  readonly prefix: number | null;
  /** Why the next trial does not start although it may; null: it waits for other trials. */
  readonly held: string | null;
}

/**
 * What a study's record, one of its trials and a hash of weights may take in Redis, without what
 * the study is asked.
 */
const STUDY_BYTES = 2000;
const TRIAL_BYTES = 1000;
const HASH_BYTES = 67;

export class Studies {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async replay(owner: string, use: IdempotencyUse): Promise<CreatedStudy | null> {
    const used = await usedBefore(this.#database, owner, use);
    if (used === null) return null;
    if (!used.isSame) return { outcome: "mismatch", record: null };
    const record = await this.get(owner, used.id);
    return record && { outcome: "replayed", record };
  }

  /** @throws OverLimit, NoRoom */
  async create({ id, owner, settings, datasetIds, firstJob, trialText, idempotency }: NewStudy): Promise<CreatedStudy> {
    const text = JSON.stringify(settings);
    const event = { type: "created", message: "Created.", data: null };
    const bytes = STUDY_BYTES + 2 * text.length + settings.trials * bytesOf(settings, trialText);
    const { direction, webhook } = settings;
    const wanted = webhook === null ? {} : { webhook: JSON.stringify(webhook.events) };
    const record = { settings: text, direction, first_job: firstJob, ...wanted };
    const [outcome, known] = await this.#database.run<[CreatedStudy["outcome"], string?]>(
      "create_study",
      keys.study(owner, id),
      ...useArguments(idempotency),
      datasetIds.join(" "),
      bytes,
      MAX_STUDIES,
      JSON.stringify(event),
      ...Object.entries(record).flat(),
    );
    if (outcome !== "created" && outcome !== "replayed") return { outcome, record: null };
    return { outcome, record: (await this.get(owner, known ?? id))! };
  }

  async get(owner: string, id: string): Promise<Study | null> {
    const record = await this.#record(owner, id);
    return record && (await this.#toStudy(owner, id, record));
  }

  /** Its status alone, as followers of its events want it. */
  async progress(owner: string, id: string): Promise<{ status: StudyStatus } | null> {
    const status = await this.#database.use((redis) => redis.hget(keys.study(owner, id), "status"));
    return status === null ? null : { status: status as StudyStatus };
  }

  /** What its controller needs to know. */
  async record(owner: string, id: string): Promise<StudyRecord | null> {
    const record = await this.#record(owner, id);
    return (
      record && {
        ...known(record),
        status: record.status as StudyStatus,
        begunAt: Number(record.extended_at ?? record.created_at),
        prefix: record.prefix === null ? null : Number(record.prefix),
        held: record.held,
      }
    );
  }

  /** Newest first. */
  async list(owner: string, { limit, after }: PageOptions): Promise<Page<Study>> {
    const below = after === undefined ? "+" : `(${after}`;
    const ids = await this.#database.use((redis) =>
      redis.zrevrangebylex(keys.studiesOf(owner), below, "-", "LIMIT", 0, limit + 1),
    );
    const found = await Promise.all(ids.slice(0, limit).map((id) => this.get(owner, id)));
    return pageOf(ids, found, limit);
  }

  /** Those that have not ended: id → owner. */
  async open(): Promise<Record<string, string>> {
    return await this.#database.use((redis) => redis.hgetall(keys.studies));
  }

  /** Whether this process controls all studies for the next `ms`. */
  async turn(token: string, ms: number): Promise<boolean> {
    return await this.#database.use(async (redis) => {
      if ((await redis.set(keys.studiesTurn, token, "PX", ms, "NX")) === "OK") return true;
      if ((await redis.get(keys.studiesTurn)) !== token) return false;
      return (await redis.pexpire(keys.studiesTurn, ms)) === 1;
    });
  }

  /** Lets another process have the turn at once. */
  async endTurn(token: string): Promise<void> {
    await this.#database.use(async (redis) => {
      if ((await redis.get(keys.studiesTurn)) === token) await redis.del(keys.studiesTurn);
    });
  }

  /** The stored trials from a number on, as texts, at most `most`. */
  async stored(owner: string, id: string, from: number, most: number): Promise<string[]> {
    return await this.#database.use((redis) => redis.lrange(keys.trials(keys.study(owner, id)), from, from + most - 1));
  }

  /** In the order of their numbers; null if there is no such study. */
  async trials(owner: string, id: string, { limit, after }: PageOptions): Promise<Page<Trial> | null> {
    const record = await this.#record(owner, id);
    if (record === null) return null;
    const from = after === undefined ? 0 : Number(after) + 1;
    const texts = await this.stored(owner, id, from, limit + 1);
    const items = texts.map((text) => toTrial(JSON.parse(text) as StoredTrial, known(record)));
    return page(items, limit, ({ number }) => String(number));
  }

  /**
   * Adds a trial, or changes one. `before`: its text as it is; null for a new one. False if it is
   * something else, or the study does not run.
   */
  async put(owner: string, id: string, before: string | null, trial: StoredTrial): Promise<boolean> {
    const { status, number, value } = trial;
    const best = { type: "best", message: `Trial ${number} is the best so far.`, data: { trial: number, value } };
    const done = await this.#database.run<number>(
      "put_trial",
      keys.study(owner, id),
      number,
      before ?? "",
      JSON.stringify(trial),
      status === "running" ? "" : status,
      value ?? "",
      JSON.stringify(best),
    );
    return done === 1;
  }

  /** Notes why the next trial of a running study does not start; null: there is no reason. */
  async hold(owner: string, id: string, why: string | null): Promise<void> {
    await this.#database.run("hold_study", keys.study(owner, id), why ?? "");
  }

  async change(owner: string, id: string, { to, from, event, fields = {} }: StudyChange): Promise<ChangedStudy> {
    const outcome = await this.#database.run<"changed" | "wrong_status" | "missing">(
      "change_study",
      keys.study(owner, id),
      to,
      from.join(" "),
      JSON.stringify(event),
      ...Object.entries(fields).flat(),
    );
    const record = await this.get(owner, id);
    return outcome === "missing" || record === null ? null : { outcome, record };
  }

  /**
   * Lets a study that has ended go on to `trials` trials. `stale`: it is not what the caller
   * believes.
   * @throws OverLimit, NoRoom
   */
  async extend(
    owner: string,
    id: string,
    settings: StudySettings,
    trials: number,
    trialText: number,
  ): Promise<"extended" | "dataset_missing" | "stale"> {
    const event = { type: "extended", message: `It goes on to ${trials} trials.`, data: { trials } };
    return await this.#database.run(
      "extend_study",
      keys.study(owner, id),
      JSON.stringify(settings),
      JSON.stringify({ ...settings, trials }),
      (trials - settings.trials) * bytesOf(settings, trialText),
      JSON.stringify(event),
    );
  }

  async remove(owner: string, id: string): Promise<{ outcome: "removed" | "wrong_status"; record: Study } | null> {
    const record = await this.get(owner, id);
    const outcome = await this.#database.run<"removed" | "wrong_status" | "missing">(
      "remove_study",
      keys.study(owner, id),
    );
    return outcome === "missing" || record === null ? null : { outcome, record };
  }

  /** Oldest first. */
  async events(owner: string, id: string, { limit, after }: PageOptions): Promise<Page<StudyEvent> | null> {
    const study = keys.study(owner, id);
    const from = Number.parseInt(after ?? "", 10) || 0;
    const [exists, texts] = await this.#database.use((redis) =>
      Promise.all([redis.exists(study), redis.lrange(keys.events(study), from, from + limit)]),
    );
    if (exists === 0) return null;
    const events = texts.map((text, i) => {
      const { created_at, ...event } = JSON.parse(text) as StudyEvent & { created_at: number };
      return { ...event, id: String(from + i + 1), created_at: toTime(created_at) };
    });
    return page(events, limit, (event) => event.id);
  }

  async #record(owner: string, id: string): Promise<Fields<Field> | null> {
    const values = await this.#database.use((redis) => redis.hmget(keys.study(owner, id), ...fields));
    const record = named(fields, values);
    return record.status === null ? null : record;
  }

  async #toStudy(owner: string, id: string, record: Fields<Field>): Promise<Study> {
    const { epochs: _, trials: total, ...settings } = known(record).settings;
    const count = (status: "succeeded" | "pruned" | "failed" | "cancelled") => Number(record[`ended_${status}`] ?? 0);
    const [pruned, failed] = [count("pruned"), count("failed")];
    return {
      id,
      ...settings,
      webhook: settings.webhook ?? null,
      status: record.status as StudyStatus,
      created_at: toTime(record.created_at!),
      finished_at: toTime(record.finished_at),
      trials: { total, ended: count("succeeded") + pruned + failed + count("cancelled"), pruned, failed },
      waiting_for: record.held,
      best: await this.#best(owner, id, record),
      trials_sha256: record.trials_sha256,
    };
  }

  async #best(owner: string, id: string, record: Fields<Field>): Promise<Study["best"]> {
    const { best_trial: number, best_value: value } = record;
    if (!number) return null;
    const [text] = await this.stored(owner, id, Number(number), 1);
    if (text === undefined) return null;
    const { values, jobs } = toTrial(JSON.parse(text) as StoredTrial, known(record));
    return { trial: Number(number), value: Number(value), values, job: jobs[0] };
  }
}

/** What a trial may take in Redis. */
function bytesOf({ seeds }: StudySettings, trialText: number): number {
  return TRIAL_BYTES + trialText + seeds * HASH_BYTES;
}

function known({ settings, first_job }: Pick<Fields<Field>, "settings" | "first_job">): Known {
  return { settings: JSON.parse(settings!) as StudySettings, firstJob: first_job! };
}

function toTrial(trial: StoredTrial, known: Known): Trial {
  return { ...trial, from: trial.from ?? null, jobs: jobsOf(trial.number, known) };
}

/** The ids of a trial's jobs, one for each seed. */
export function jobsOf(
  trial: number,
  { settings: { seeds }, firstJob }: { readonly settings: Pick<StudySettings, "seeds">; readonly firstJob: string },
): string[] {
  return Array.from({ length: seeds }, (_, seed) => idAfter(firstJob, trial * seeds + seed));
}
