// What the tests of the record have in common: a store on a private Redis, and jobs to put into it.
import { createHash, randomUUID } from "node:crypto";
import { once } from "node:events";
import type { Redis } from "ioredis";
import { ulid } from "ulid";
import { storeConnection } from "../../src/store/database.ts";
import type { NewJob } from "../../src/store/new-job.ts";
import type { BegunClaimed, Claim, ClaimOptions } from "../../src/store/claim.ts";
import type { Lease, State } from "../../src/store/lease.ts";
import type { Place, Taken } from "../../src/store/taken.ts";
import type { MetricRow, ProgressReport } from "../../src/store/record.ts";
import type { Room } from "../../src/store/room.ts";
import type { Columns } from "../../src/store/rows.ts";
import { Store } from "../../src/store/store.ts";
import type { TestRedis } from "../support/redis.ts";
import { nothingTold } from "../support/contexts.ts";

export const OWNER = "default";

export async function connected(server: TestRedis): Promise<Redis> {
  const redis = server.client(storeConnection);
  if (redis.status !== "ready") await once(redis, "ready");
  return redis;
}

export async function openStore(server: TestRedis): Promise<Store> {
  return new Store(await connected(server));
}

export function newJob(options: Partial<NewJob> & { metadata?: Record<string, string> } = {}): NewJob {
  const spec = {
    name: null,
    metadata: options.metadata ?? {},
    training: { epochs: 10 },
    detectors: { diverging: { policy: "warn" } },
    webhook: null,
    resources: { priority: 0 },
    checkpoint: { keep_last: 3, keep_best: false },
  };
  return {
    id: `job_${ulid().toLowerCase()}`,
    owner: OWNER,
    spec: spec as unknown as NewJob["spec"],
    specSha256: "0".repeat(64),
    datasetIds: [],
    arithmeticVersion: 1,
    totalSteps: 100,
    stateBytes: 1000,
    memoryBytes: 1_000_000,
    workMs: 1,
    warnings: [],
    set: null,
    room: room(4000),
    idempotency: null,
    fork: null,
    inherited: null,
    start: null,
    weightsId: null,
    told: nothingTold,
    trace: null,
    ...options,
  };
}

/** The room of a job. It may tell as many events as these tests want. */
export function room(bytes: number): Room {
  return { bytes, eventLimits: { checkpoint_committed: 1000, evaluated: 1000 }, messageBytes: 0, keepMost: 100 };
}

export async function postJob(store: Store, options: Partial<NewJob> = {}): Promise<string> {
  const job = newJob(options);
  await store.jobs.create(job);
  return job.id;
}

/** A place of a worker that has nothing else to do. */
export const PLACE: Place = { leaseMs: 5000, idle: true, memoryLeft: 2 ** 30, arithmeticVersion: 1 };

interface AcquireOptions extends Partial<Place> {
  owner?: string;
}

/** Begins this job, whatever waits besides. */
export async function tryAcquire(
  store: Store,
  jobId: string,
  { owner = OWNER, ...place }: AcquireOptions = {},
): Promise<Exclude<BegunClaimed, { outcome: "taken" }> | ({ outcome: "taken"; lease: Lease } & Taken)> {
  const begun = await store.begin({ owner, jobId, token: randomUUID() }, { ...PLACE, ...place });
  if (begun.outcome !== "taken") return begun;
  return { outcome: "taken", lease: store.lease(begun.taken.hold), ...begun.taken };
}

export async function acquire(store: Store, jobId: string, options: AcquireOptions = {}): Promise<Lease> {
  const acquired = await tryAcquire(store, jobId, options);
  if (acquired.outcome !== "taken") throw new Error(`expected to get the job, it is ${acquired.outcome}`);
  return acquired.lease;
}

/** What a worker with nothing else to do would get. */
export async function tryClaim(store: Store, options: Partial<ClaimOptions> = {}): Promise<Claim> {
  return await store.claim({ token: randomUUID(), worker: "worker", ...PLACE, ...options });
}

export async function claim(store: Store, options: Partial<ClaimOptions> = {}) {
  const claimed = await tryClaim(store, options);
  if (claimed.outcome !== "taken") throw new Error(`expected to get a job, there is ${claimed.outcome}`);
  return { ...claimed, lease: store.lease(claimed.first.hold), ids: idsOf(claimed) };
}

function idsOf({ first, rest }: Extract<Claim, { outcome: "taken" }>): string[] {
  return [first.hold.jobId, ...rest.map(({ jobId }) => jobId)];
}

/** Makes a lease lapse as if its process had died some time ago. */
export async function lapse(redis: Redis, jobId: string): Promise<void> {
  await redis.eval(
    "#!lua flags=allow-oom\nredis.call('HDEL', KEYS[1], 'lease_expires_at') redis.call('ZADD', KEYS[2], 0, KEYS[1])",
    2,
    `{rappel}:owner:${OWNER}:job:${jobId}`,
    "{rappel}:due",
  );
}

export function progressAt(step: number): ProgressReport {
  return {
    step,
    epoch: 0,
    train_loss: 1 / (step + 1),
    valid_loss: null,
    metrics: {},
    learning_rate: 0.1,
    samples_per_second: 1000,
    eta_seconds: 1,
  };
}

export function row(step: number) {
  return { step, train_loss: Math.exp(-step) };
}

export interface CheckpointOptions {
  bytes?: Uint8Array;
  kinds?: State["kinds"];
  score?: number | null;
  keepLast?: number;
  keepBest?: boolean;
  rewindStep?: number | null;
  rows?: { step: number; train_loss: number }[];
}

/** Uploads and commits. Returns false if there is no room. */
export async function checkpoint(lease: Lease, step: number, options: CheckpointOptions = {}): Promise<boolean> {
  const bytes = options.bytes ?? Buffer.from(`the state at ${step} ${randomUUID()}`);
  const blob = await lease.upload(bytes);
  if (blob === null) return false;
  const { kinds = ["periodic"], score = null, keepLast = 3, keepBest = false, rewindStep = null } = options;
  const state: State = { ...blob, step, sha256: sha256(bytes), kinds, metrics: { valid_loss: 0.1 + 0.2 }, score };
  const event = { type: "checkpoint_committed", message: "Committed.", step, data: null } as const;
  const news = { progress: progressAt(step), event, rows: options.rows ?? [] };
  await lease.commit(state, { keepLast, keepBest, rewindStep }, news);
  return true;
}

export async function eventTypes(store: Store, jobId: string): Promise<string[]> {
  const events = await store.jobs.events(OWNER, jobId, { limit: 1000 });
  return events!.data.map((event) => event.type);
}

export async function steps(store: Store, jobId: string): Promise<number[]> {
  const found = await store.jobs.checkpoints(OWNER, jobId, { limit: 100 });
  return found!.data.map((manifest) => manifest.step);
}

export function sha256(bytes: Uint8Array | string): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** All rows of a job's metrics. Null: there is no such job. */
export async function metricRows(
  store: Store,
  owner: string,
  id: string,
  fromStep?: number,
  toStep?: number,
): Promise<MetricRow[] | null> {
  const pages: MetricRow[][] = [];
  for await (const page of store.jobs.metrics(owner, id, fromStep, toStep)) pages.push(page.flatMap(rowsOf));
  // The rows of a step have no order: each has names of its own.
  const key = (row: MetricRow) => Object.keys(row).join();
  return pages.length === 0 ? null : pages.flat().sort((a, b) => a.step - b.step || key(a).localeCompare(key(b)));
}

export function rowsOf({ names, steps, values }: Columns): MetricRow[] {
  return Array.from(steps, (step, i) => ({
    step,
    ...Object.fromEntries(names.map((name, at) => [name, values[at][i]])),
  }));
}
