// The parts of a process of each role. They are opened in order, Redis first, and closed in
// reverse.
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { FastifyInstance } from "fastify";
import type { Redis } from "ioredis";
import { buildApp } from "./api/app.ts";
import { Archivist } from "./archivist.ts";
import { sweepFiles } from "./api/datasets.ts";
import { sweepResults } from "./api/results.ts";
import { buildWorkerApp } from "./api/worker-app.ts";
import type { Config } from "./config.ts";
import { prepareDataDirectory } from "./data-directory.ts";
import { DatasetCache, type WantedDataset } from "./data/files/cache.ts";
import { diskFault } from "./disk-fault.ts";
import { DatasetFiles } from "./data/files/dataset-files.ts";
import type { Logger } from "./log.ts";
import { measureProcess } from "./meters.ts";
import { SetEnds } from "./set-ends.ts";
import { StoreEpoch } from "./store-epoch.ts";
import { Control } from "./queue/control.ts";
import { WakeUps } from "./queue/wake-ups.ts";
import { Predictor } from "./predict/predictor.ts";
import { News } from "./queue/news.ts";
import { Reconciler } from "./queue/reconciler.ts";
import { openRedis, type RedisService } from "./redis/redis.ts";
import type { RunTraces } from "./runner/trace.ts";
import type { Tracing } from "./tracing.ts";
import { StartFailure } from "./start-failure.ts";
import { ArchiveDirectory } from "./store/archive/directory.ts";
import { RemoteArchive } from "./store/archive/remote.ts";
import { available, storeConnection } from "./store/database.ts";
import { NewerStore, OutOfReach, Unavailable } from "./store/errors.ts";
import { Store } from "./store/store.ts";
import { Webhooks } from "./webhooks/webhooks.ts";
import type { ClosingReason } from "./worker/options.ts";
import { TrainingWorker } from "./worker/worker.ts";

/** For connections that wait for Redis while it is away. */
const PATIENT = { maxRetriesPerRequest: null };
const DAY_MS = 86_400_000;
/** How often files are looked for whose record is gone. */
const SWEEP_MS = 3_600_000;
/** How long the rest may take after the worker's time is over. */
const GRACE_MS = 1000;

export interface Service {
  /** The address where it serves HTTP; null for a worker without a port. */
  readonly address: string | null;
  /** The address of its Redis. */
  readonly redis: string;
  /**
   * Takes little longer than RAPPEL_SHUTDOWN_MS, except that our Redis may first write everything.
   */
  close(why: ClosingReason): Promise<void>;
}

type Close = (why: ClosingReason) => unknown;

/**
 * @param onLost called if our Redis has died and cannot be started again
 * @throws StartFailure, with everything closed again
 */
export async function openService(config: Config, log: Logger, onLost: (failure: Error) => void): Promise<Service> {
  try {
    return await openAll(config, log, onLost);
  } catch (error) {
    throw explained(error, config);
  }
}

/** If Redis or the disk failed, which the operator can mend, the error becomes one sentence. */
function explained(error: unknown, { dataDirectory }: Config): unknown {
  if (error instanceof Unavailable) {
    return new StartFailure(`Redis failed while Rappel started: start it again once Redis answers. ${error.message}`);
  }
  const fault = diskFault(error);
  if (fault === null) return error;
  const { message } = error as Error;
  return new StartFailure(`The disk that RAPPEL_DATA_DIR (${dataDirectory}) lies on ${fault} (${message}).`);
}

async function openAll(config: Config, log: Logger, onLost: (failure: Error) => void): Promise<Service> {
  measureProcess();
  prepareDataDirectory(config.dataDirectory, log);
  const redis = await openRedis(config, log, onLost);
  const closers: Close[] = [];
  const close = async (why: ClosingReason) => {
    const late = sleep(config.shutdownMs + GRACE_MS, "late", { ref: false });
    if ((await Promise.race([closeAll(closers, why, log), late])) === "late") {
      log.warn("not everything closed in time: the next start sets it right");
    }
    await redis.close();
  };
  try {
    const address = await openParts(config, log, redis, closers);
    return { address, redis: redis.name, close };
  } catch (error) {
    await close({ broken: false });
    throw error;
  }
}

/** Returns the address where the process serves HTTP. */
async function openParts(config: Config, log: Logger, redis: RedisService, closers: Close[]): Promise<string | null> {
  // Imported only if needed: it is a megabyte of code that most do not use.
  const tracing = config.traces ? (await import("./tracing.ts")).openTracing(config.role, log) : null;
  if (tracing !== null) closers.push(() => tracing.close());
  const connection = redis.connect({ ...storeConnection, lazyConnect: true });
  closers.push(() => connection.disconnect());
  await available(() => connection.connect());

  const store: Store = new Store(
    connection,
    archiveOf(config, () => store.tickets),
  );
  await upgradeStore(store, log);
  const queue = new WakeUps(connection);
  closers.push(() => queue.close());
  const reconciler = new Reconciler(store, queue, { keepMs: config.keepJobsDays * DAY_MS, log });
  closers.push(() => reconciler.close());
  const isNeeded = async (name: string) => (await store.datasets.references(name)) > 0;
  const files = new DatasetFiles(join(config.dataDirectory, "datasets"), log, isNeeded);
  const cache = config.role === "api" ? null : await openCache(config, { store, log });
  // A worker whose API is elsewhere writes only to its cache.
  const disk = config.role === "worker" ? cache : files;
  const checks: Record<string, () => unknown> = {
    redis: () => store.ping(),
    store: () => store.format.check(),
    room: () => store.fullness(),
    ...(disk && { disk: () => disk.probe() }),
  };

  // A job that is posted during a shutdown would only be given back. So the API and the worker
  // close together.
  const serving: Close[] = [];
  closers.push((why) => Promise.all(serving.map((close) => close(why))));
  const livenessChecks: Record<string, () => void> = {};
  if (config.role !== "api") {
    const worker = await openWorker(config, redis, { store, queue, files, cache, log, traces: tracing ?? undefined });
    serving.push(worker.close);
    livenessChecks.crews = worker.assertMoving;
  }
  if (config.role === "worker") {
    if (config.workerPort === null) return null;
    const app = await buildWorkerApp({ log, checks, livenessChecks });
    serving.push(() => app.close());
    return await listen(app, config.host, config.workerPort, "RAPPEL_WORKER_PORT");
  }
  const parts = { store, connection, files, queue, log, checks, livenessChecks, tracing };
  return await openApi(config, redis, parts, closers, serving);
}

interface ApiParts extends Pick<Parts, "store" | "files" | "log"> {
  readonly connection: Redis;
  readonly queue: WakeUps;
  /** What must work for this process to be ready. The API adds a check of its own. */
  readonly checks: Record<string, () => unknown>;
  /** What must hold for this process to be alive. */
  readonly livenessChecks: Record<string, () => void>;
  readonly tracing: Tracing | null;
}

/**
 * Opens the API and returns its URL. What it opens is added to `closers`, or to `serving`, whose
 * members close together.
 */
async function openApi(
  config: Config,
  redis: RedisService,
  { store, connection, files, queue, log, checks, livenessChecks, tracing }: ApiParts,
  closers: Close[],
  serving: Close[],
): Promise<string> {
  await store.limitOwners(config.ownerLimits);
  const refill = async () => {
    await upgradeStore(store, log);
    await store.limitOwners(config.ownerLimits);
  };
  const epoch = await StoreEpoch.open({ store, path: join(config.dataDirectory, "epoch"), log, refill });
  closers.push(() => epoch.close());
  checks.epoch = () => epoch.check();
  const isSafe = async () => {
    await epoch.check().catch(() => undefined);
    return epoch.lost === null;
  };
  const archivist = openArchivist(config, { store, log }, isSafe);
  checks.archive = archivist === null ? unread(config, { store, log }) : () => archivist.failure;
  if (archivist !== null) closers.push(() => archivist.close());
  const webhooks = openWebhooks(config, redis, { store, connection, log });
  serving.push(() => webhooks.close(config.shutdownMs));
  await files.prepare();
  if (epoch.lost === null) await sweepFiles({ store, files }, log);
  const sweep = async () => {
    if (epoch.lost === null) await sweepResults({ store, files });
  };
  await sweep();
  const sweeps = setInterval(() => {
    sweep().catch((error: unknown) => log.warn({ err: error }, "results without a record could not be removed"));
  }, SWEEP_MS);
  closers.push(() => clearInterval(sweeps));
  const news = new News(redis.connect(PATIENT));
  const setEnds = new SetEnds({ store, files, queue, news, log, isSafe });
  closers.push(() => setEnds.close());
  const predictor = new Predictor({ threads: config.predictThreads, maxModelBytes: config.predictMaxBytes });
  const limits = { ...config, redisMaxBytes: redis.maxBytes ?? config.redisMaxBytes };
  const app = await buildApp({
    store,
    files,
    queue,
    news,
    predictor,
    queues: [queue.bull, webhooks.bull],
    config: limits,
    checks,
    livenessChecks,
    log,
    tracing: tracing?.plugin,
    traceContext: tracing?.context,
  });
  serving.push(async () => {
    await Promise.all([app.close(), predictor.close()]);
    news.close();
  });
  return await listen(app, config.host, config.port, "RAPPEL_PORT");
}

function archiveOf(
  { archive: { directory, isRemote }, apiUrl }: Config,
  tickets: () => Store["tickets"],
): ArchiveDirectory | RemoteArchive {
  return isRemote ? new RemoteArchive(apiUrl!, tickets) : new ArchiveDirectory(directory);
}

/** Null: the results of ended jobs stay in Redis. */
function openArchivist(
  { archive: { directory: path, isShared } }: Config,
  { store, log }: Pick<ApiParts, "store" | "log">,
  isSafe: () => Promise<boolean>,
): Archivist | null {
  if (!isShared) {
    log.info("results of ended jobs stay in Redis: set RAPPEL_STORE_URL to a directory that all API hosts share");
    return null;
  }
  const directory = new ArchiveDirectory(path);
  const checkFormat = () => store.format.check();
  const isShort = async () => {
    const { used, reserved, limit } = await store.overview.room();
    return limit !== null && used + reserved > limit / 2;
  };
  return new Archivist({ ...store.archiving(directory, log), log, isSafe, isShort, checkFormat });
}

/** What an api without an archive says if Redis has jobs that are in one. */
function unread(
  { archive: { directory } }: Config,
  { store, log }: Pick<ApiParts, "store" | "log">,
): () => Promise<string | null> {
  const { mover } = store.archiving(new ArchiveDirectory(directory), log);
  return async () => {
    try {
      await mover.check();
      return null;
    } catch (error) {
      if (error instanceof OutOfReach)
        return "the archive of ended jobs is out of reach of this process: set RAPPEL_STORE_URL to its directory";
      // Another check says that Redis is away.
      if (error instanceof Unavailable) return null;
      throw error;
    }
  };
}

/** Must run before anything reads the stored data. */
async function upgradeStore(store: Store, log: Logger): Promise<void> {
  try {
    await store.format.upgrade(log);
  } catch (error) {
    if (error instanceof NewerStore) throw new StartFailure(error.message);
    throw error;
  }
}

interface Parts {
  readonly store: Store;
  readonly queue: WakeUps;
  readonly files: DatasetFiles;
  readonly cache: DatasetCache | null;
  readonly log: Logger;
  readonly traces?: RunTraces;
}

interface OpenWorker {
  readonly close: Close;
  /** Throws an error if a crew stands still. */
  readonly assertMoving: () => void;
}

async function openWorker(config: Config, redis: RedisService, parts: Parts): Promise<OpenWorker> {
  const { leaseMs, jobs, jobsBytes: memoryBytes, threads } = config;
  await parts.files.results.prepare();
  const control = new Control(redis.connect(PATIENT));
  const worker = new TrainingWorker({
    ...parts,
    redis: redis.connect(PATIENT),
    redisUrl: redis.url,
    control,
    leaseMs,
    jobs,
    memoryBytes,
    threads,
  });
  await worker.ready();
  const close: Close = async (why) => {
    await worker.close(config.shutdownMs, why);
    control.close();
  };
  return { close, assertMoving: () => worker.assertMoving() };
}

/**
 * Fetched copies are kept apart from uploaded files, because only copies may be deleted to make
 * room.
 */
async function openCache(
  config: Config,
  { store: { tickets }, log }: Pick<Parts, "store" | "log">,
): Promise<DatasetCache | null> {
  const { apiUrl, maxCacheBytes: maxBytes, dataDirectory } = config;
  if (apiUrl === null) return null;
  const authorize = async ({ owner, id }: Pick<WantedDataset, "owner" | "id">) =>
    `Bearer ${await tickets.issue(owner, id)}`;
  const cache = new DatasetCache(join(dataDirectory, "cache"), { apiUrl, authorize, maxBytes, log });
  await cache.prepare();
  return cache;
}

function openWebhooks(
  { webhookSecrets: secrets, webhookHosts: allowedHosts }: Config,
  redis: RedisService,
  { store, connection, log }: { store: Store; connection: Redis; log: Logger },
): Webhooks {
  const patientRedis = redis.connect(PATIENT);
  return new Webhooks({ store, redis: connection, patientRedis, secrets, allowedHosts, log });
}

async function closeAll(closers: readonly Close[], why: ClosingReason, log: Logger): Promise<void> {
  for (const close of closers.toReversed()) {
    try {
      await close(why);
    } catch (error) {
      log.error({ err: error }, "could not be closed");
    }
  }
}

/** Returns the URL of the server. */
async function listen(app: FastifyInstance, host: string, port: number, variable: string): Promise<string> {
  try {
    return await app.listen({ host, port });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EADDRINUSE") {
      throw new StartFailure(
        `${variable} is ${port}, where another program listens: choose another port, or 0 for any that is free.`,
      );
    }
    throw new StartFailure(
      `RAPPEL_HOST is ${JSON.stringify(host)} and ${variable} is ${port}, where this process cannot listen (${code}).`,
    );
  }
}
