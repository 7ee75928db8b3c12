// What the tests of running jobs have in common: a Redis, a directory of datasets, jobs, and
// worker processes that can be killed.
import { spawn, type ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { createInterface } from "node:readline";
import type { Redis } from "ioredis";
import { ulid } from "ulid";
import { nodeArguments } from "../../scripts/node-arguments.mjs";
import { DatasetFiles } from "../../src/data/files/dataset-files.ts";
import { ARITHMETIC_VERSION } from "../../src/engine/kernels/kernels.ts";
import { WakeUps } from "../../src/queue/wake-ups.ts";
import { datasetIds } from "../../src/contract/facts.ts";
import { resolveSpec } from "../../src/contract/resolve/resolve.ts";
import type { Job } from "../../src/contract/wire/job.ts";
import { roomOf } from "../../src/store/room.ts";
import { Store } from "../../src/store/store.ts";
import { connected, OWNER } from "../store/support.ts";
import { startTestRedis, type TestRedis, type TestRedisOptions } from "../support/redis.ts";
import { ingest } from "../support/datasets.ts";
import { nothingTold, noOtherJobs } from "../support/contexts.ts";

/**
 * The two ways in which a worker runs a job: in a lane (src/runner/lane.ts), or with training
 * threads. The estimate in its record decides.
 */
export const ways = ["lane", "threads"] as const;
export type Way = (typeof ways)[number];
const workMs: Record<Way, number> = { lane: 1, threads: 60_000 };

/** In which way the job was run, each time that a run of this worker began to train. */
export function waysTaken(worker: WorkerProcess, id: string): Way[] {
  const trained = worker.log.filter(({ msg, job_id }) => msg === "training" && job_id === id);
  return trained.map(({ lane }) => (lane === true ? "lane" : "threads"));
}

export interface WorkerProcess {
  readonly pid: number;
  readonly child: ChildProcess;
  /** What the process has logged so far. */
  readonly log: Record<string, unknown>[];
  kill(signal: NodeJS.Signals): void;
  /** Its exit code, or the signal that ended it. */
  readonly exited: Promise<number | string>;
}

export interface Place {
  readonly server: TestRedis;
  readonly redis: Redis;
  readonly store: Store;
  readonly wakeUps: WakeUps;
  readonly files: DatasetFiles;
  /** Where the files are. */
  readonly directory: string;
  startWorker(env?: Record<string, string>): Promise<WorkerProcess>;
  /** Keeps a dataset besides the default one. Returns its id. */
  upload(csv: Readable): Promise<string>;
  /** `way`: how it is to be run. Else the spec decides. */
  post(spec?: Record<string, unknown>, way?: Way): Promise<string>;
  /** Posts from a process that dies at a crash point. */
  postAndCrash(at: string, spec?: Record<string, unknown>): Promise<string>;
  get(id: string): Promise<Job>;
  /** Waits until the job fulfils `condition`. */
  until(id: string, condition: (job: Job) => boolean, withinMs?: number): Promise<Job>;
  killWorkers(): Promise<void>;
  /**
   * A worker with a long lease keeps others from looking for stalled wake-ups for half of that
   * time, and its reconciler keeps the turn for almost as long.
   */
  forgetRoom(): Promise<void>;
  close(): Promise<void>;
}

export const LEASE_MS = 1000;

export async function openPlace(options: TestRedisOptions = {}): Promise<Place> {
  const server = await startTestRedis(options);
  const redis = await connected(server);
  const store = new Store(redis);
  const wakeUps = new WakeUps(redis);
  const directory = mkdtempSync(join(tmpdir(), "rappel-worker-"));
  const files = new DatasetFiles(directory);
  await files.prepare();
  const upload = async (body: Readable) => {
    const content = await ingest(files, body, 2 ** 24);
    const dataset = { id: `ds_${ulid().toLowerCase()}`, name: null, ...content };
    await store.datasets.put(OWNER, { ...dataset, columns: [...dataset.columns] } as never);
    return dataset.id;
  };
  const dataset = await upload(Readable.from([csv()]));
  const workers = new Set<WorkerProcess>();

  const killWorkers = async () => {
    for (const worker of workers) worker.kill("SIGKILL");
    await Promise.all([...workers].map(({ exited }) => exited));
    workers.clear();
  };
  const get = async (id: string) => (await store.jobs.get(OWNER, id))!;
  return {
    server,
    redis,
    store,
    wakeUps,
    files,
    directory,
    get,
    async startWorker(env = {}) {
      const worker = await startProcess({ REDIS_URL: server.url, DATA_DIR: directory, ...env });
      workers.add(worker);
      return worker;
    },
    upload,
    post: (changes = {}, way) => postJob({ store, wakeUps, files }, specFor(dataset, changes), way),
    async postAndCrash(at, changes = {}) {
      const env = { REDIS_URL: server.url, DATA_DIR: directory, SPEC: JSON.stringify(specFor(dataset, changes)) };
      const child = spawnProgram("post.ts", { ...env, RAPPEL_CRASH_AT: at });
      await once(child, "exit");
      if (child.signalCode !== "SIGKILL") throw new Error(`expected the process to die at ${at}`);
      const [newest] = (await store.jobs.list(OWNER, { limit: 1 })).data;
      return newest.id;
    },
    async until(id, condition, withinMs = 30_000) {
      const deadline = performance.now() + withinMs;
      for (;;) {
        const job = await get(id).catch(() => null);
        if (job !== null && condition(job)) return job;
        if (performance.now() > deadline)
          throw new Error(`waited ${withinMs} ms, and it was not so: ${JSON.stringify(job)}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    killWorkers,
    async forgetRoom() {
      await redis.del("{rappel}:deliveries:stalled-check", "{rappel}:reconciler");
    },
    async close() {
      await killWorkers();
      await wakeUps.close();
      await server.stop();
      rmSync(directory, { recursive: true });
    },
  };
}

/** What `POST /v1/jobs` does. */
export async function postJob(
  { store, wakeUps, files }: { store: Store; wakeUps: WakeUps; files: DatasetFiles },
  spec: unknown,
  way?: Way,
): Promise<string> {
  const dataset = (id: string) => store.datasets.get(OWNER, id);
  const limits = { maxMemoryBytes: 2 ** 30, maxStateBytes: 2 ** 28 };
  const resolved = await resolveSpec(spec, {
    files,
    dataset,
    ...limits,
    ...noOtherJobs,
    webhookFaults: () => [],
  });
  const created = await store.jobs.create({
    id: `job_${ulid().toLowerCase()}`,
    owner: OWNER,
    spec: resolved.spec,
    specSha256: resolved.specSha256,
    datasetIds: datasetIds(resolved.spec.data),
    arithmeticVersion: ARITHMETIC_VERSION,
    totalSteps: resolved.totalSteps,
    stateBytes: resolved.stateBytes,
    memoryBytes: resolved.memoryBytes,
    workMs: way === undefined ? resolved.workMs : workMs[way],
    warnings: resolved.warnings,
    set: resolved.set,
    inherited: null,
    start: null,
    weightsId: null,
    told: nothingTold,
    room: roomOf(resolved, 0),
    idempotency: null,
    fork: null,
    trace: null,
  });
  if (created.outcome !== "created") throw new Error(created.outcome);
  if (created.wake) await wakeUps.add();
  return created.record.id;
}

function spawnProgram(file: string, env: Record<string, string>): ChildProcess {
  const program = new URL(file, import.meta.url).pathname;
  return spawn(process.execPath, [...nodeArguments, program], {
    env: { ...process.env, NODE_ENV: "test", LEASE_MS: String(LEASE_MS), ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
}

/** A worker on a Redis (`REDIS_URL`) and a directory of datasets (`DATA_DIR`). */
export async function startProcess(env: Record<string, string>): Promise<WorkerProcess> {
  const child = spawnProgram("process.ts", env);
  const exited = once(child, "exit").then(([code, signal]) => (code ?? signal) as number | string);
  const log: Record<string, unknown>[] = [];
  const ready = new Promise<void>((resolve, reject) => {
    createInterface({ input: child.stdout! }).on("line", (line) => {
      const entry = JSON.parse(line) as Record<string, unknown>;
      log.push(entry);
      if (process.env.SHOW_LOG) process.stderr.write(`${child.pid} ${line}\n`);
      if (entry.msg === "ready") resolve();
    });
    void exited.then((how) => reject(new Error(`the worker ended before it was ready: ${how}`)));
  });
  await ready;
  return { pid: child.pid!, child, log, exited, kill: (signal) => child.kill(signal) };
}

/** Two interleaved classes in ten columns, the same every time. */
export function csv(): string {
  const rows = Array.from({ length: 600 }, (_, i) => {
    const cells = Array.from({ length: 10 }, (_, j) => (Math.sin(i * (j + 1) * 0.7) + (i % 3) * 0.3).toFixed(4));
    return [...cells, ["a", "b", "c"][i % 3]].join(",");
  });
  return `${Array.from({ length: 10 }, (_, j) => `x${j}`).join(",")},y\n${rows.join("\n")}\n`;
}

export function specFor(dataset: string, changes: Record<string, unknown>) {
  return {
    data: { dataset, target: "y", validation: { every: 5 } },
    model: { layers: [{ type: "linear", out_features: 16 }, { type: "relu" }, { type: "linear" }] },
    loss: { type: "cross_entropy" },
    optimizer: { type: "adam", lr: 0.001 },
    training: { epochs: 40, batch_size: 32, seed: 3 },
    checkpoint: { every_steps: 50, every_seconds: null, keep_last: 2 },
    ...changes,
  };
}

export function ended(job: Job): boolean {
  return ["succeeded", "failed", "cancelled"].includes(job.status);
}

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** A job of 15 steps an epoch, long enough to be disturbed. */
export function longSpec(epochs: number) {
  return {
    model: {
      layers: [
        { type: "linear", out_features: 512 },
        { type: "relu" },
        { type: "linear", out_features: 512 },
        { type: "relu" },
        { type: "linear" },
      ],
    },
    training: { epochs, batch_size: 32, seed: 5, log_every_steps: 5, eval_every_epochs: 5, clip_grad_norm: 1 },
    checkpoint: { every_steps: 200, every_seconds: null, keep_last: 2 },
  };
}
