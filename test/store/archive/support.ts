// Ended jobs with results of every kind, and an archive for them.
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach } from "vitest";
import { pino } from "pino";
import type { Compaction } from "../../../src/store/archive/compaction.ts";
import { ArchiveDirectory } from "../../../src/store/archive/directory.ts";
import type { Mover } from "../../../src/store/archive/mover.ts";
import type { NewJob } from "../../../src/store/new-job.ts";
import { Store } from "../../../src/store/store.ts";
import {
  connected,
  acquire,
  checkpoint,
  metricRows,
  OWNER,
  postJob,
  progressAt,
  room,
  row,
  sha256,
} from "../support.ts";
import { server } from "../setup.ts";

export const log = pino({ level: "silent" });

export let directory: ArchiveDirectory;
/** A store that reads the archive. */
export let store: Store;
export let mover: Mover;
export let compaction: Compaction;

/** What `setUpStore` begins, with an archive. `dayMs`: how long compaction takes a day to be. */
export function setUpArchive(dayMs?: number): void {
  beforeEach(async () => {
    directory = new ArchiveDirectory(mkdtempSync(join(tmpdir(), "rappel-archive-")));
    store = new Store(await connected(server), directory);
    ({ mover, compaction } = store.archiving(directory, log, dayMs));
    await mover.prove();
  });
  afterEach(async () => {
    await mover.close();
    rmSync(directory.path, { recursive: true, force: true });
  });
}

/** Moves everything that can be moved. */
export async function moveAll(): Promise<void> {
  while ((await mover.moveSome()) > 0);
}

export interface EndedOptions extends Partial<NewJob> {
  metadata?: Record<string, string>;
  bytes?: number;
  rows?: number;
}

/** A job that has succeeded. */
export async function endedJob({ bytes = 1000, rows = 20, ...options }: EndedOptions = {}): Promise<string> {
  const id = await postJob(store, { room: room(6 * bytes + 400 * rows + 50_000), ...options });
  const lease = await acquire(store, id);
  await checkpoint(lease, 5, { bytes: randomBytes(bytes), rows: [row(1), row(5)] });
  const [state, final, best] = [randomBytes(bytes), randomBytes(bytes), randomBytes(bytes)];
  const files = {
    final: { ...(await lease.store(final, "final"))!, sha256: sha256(final) },
    best: { ...(await lease.store(best, "best"))!, sha256: sha256(best) },
  };
  const blob = await lease.store(state, "state");
  const ending = {
    status: "succeeded",
    progress: progressAt(100),
    result: { steps: 100, metrics: { valid_loss: 0.1 + 0.2 } },
    model: { layers: [], evaluation: null },
    models: files,
    state: { ...blob!, step: 100, sha256: sha256(state), kinds: ["final"], metrics: {}, score: null },
    // Several of one type are packed.
    events: [
      ...[10, 20, 30, 40].map((step) => ({ type: "evaluated", message: "Evaluated.", step, data: null })),
      { type: "succeeded", message: "Done; é.", step: 100, data: null },
    ],
  };
  const all = Array.from({ length: rows }, (_, i) => row(6 + i));
  await lease.finish(ending as unknown as Parameters<typeof lease.finish>[0], all);
  return id;
}

/** Everything that can be read of a job. */
export async function everythingOf(id: string, from = store) {
  const { jobs } = from;
  const checkpoints = await jobs.checkpoints(OWNER, id, { limit: 10 });
  const steps = checkpoints?.data.map(({ step }) => step) ?? [];
  return {
    job: await jobs.get(OWNER, id),
    listed: (await jobs.list(OWNER, { limit: 1000 })).data.find((job) => job.id === id),
    found: (await jobs.list(OWNER, { limit: 1000, metadata: { name: "x" } })).data.length,
    progress: await jobs.progress(OWNER, id),
    trainedOn: await jobs.trainedOn(OWNER, id),
    evaluation: await jobs.evaluation(OWNER, id),
    events: await jobs.events(OWNER, id, { limit: 1000 }),
    secondEvent: await jobs.events(OWNER, id, { limit: 1, after: "1" }),
    packedEvents: await jobs.events(OWNER, id, { limit: 2, after: "5" }),
    rows: await metricRows(from, OWNER, id),
    someRows: await metricRows(from, OWNER, id, 5, 8),
    checkpoints,
    earlier: await jobs.checkpoints(OWNER, id, { limit: 10, after: "100" }),
    heads: hashed(await Promise.all(steps.map((step) => jobs.checkpointHead(OWNER, id, step)))),
    states: hashed(await Promise.all(steps.map((step) => jobs.checkpointBytes(OWNER, id, step)))),
    nowhere: await jobs.checkpointBytes(OWNER, id, 77),
    final: hashed(await jobs.model(OWNER, id, "final")),
    best: hashed(await jobs.model(OWNER, id, "best")),
  };
}

/** The same with hashes in place of bytes: to compare megabytes one by one takes long. */
function hashed(value: unknown): unknown {
  if (Buffer.isBuffer(value)) return sha256(value);
  if (Array.isArray(value)) return value.map(hashed);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, hashed(one)]));
}
