// A worker process for the tests. It has no HTTP, so that they can kill and start it quickly. The
// service's role `worker` has the same parts and health checks.
import { once } from "node:events";
import { DatasetFiles } from "../../src/data/files/dataset-files.ts";
import { createLog } from "../../src/log.ts";
import { Control } from "../../src/queue/control.ts";
import { WakeUps } from "../../src/queue/wake-ups.ts";
import { Reconciler } from "../../src/queue/reconciler.ts";
import { connector } from "../../src/redis/connect.ts";
import { storeConnection } from "../../src/store/database.ts";
import { Store } from "../../src/store/store.ts";
import { TrainingWorker } from "../../src/worker/worker.ts";

const { REDIS_URL, DATA_DIR, LEASE_MS, JOBS, JOBS_BYTES, THREADS, LOG_LEVEL, SHUTDOWN_MS, QUIET_MS } =
  process.env as Record<string, string>;
const log = createLog(LOG_LEVEL ?? "info");
const connect = connector(REDIS_URL, log);

const shared = connect({ ...storeConnection, lazyConnect: true });
await shared.connect();
const store = new Store(shared);
const wakeUps = new WakeUps(shared);
const reconciler = new Reconciler(store, wakeUps, { keepMs: 1e10, log, intervalMs: Number(LEASE_MS) });
const control = new Control(connect({ maxRetriesPerRequest: null }));
const files = new DatasetFiles(DATA_DIR);
const worker = new TrainingWorker({
  store,
  files,
  cache: null,
  redis: connect({ maxRetriesPerRequest: null }),
  redisUrl: REDIS_URL,
  control,
  queue: wakeUps,
  log,
  leaseMs: Number(LEASE_MS),
  jobs: Number(JOBS ?? 1),
  memoryBytes: Number(JOBS_BYTES ?? Number.MAX_SAFE_INTEGER),
  threads: Number(THREADS ?? 2),
  quietMs: QUIET_MS === undefined ? undefined : Number(QUIET_MS),
});
await worker.ready();
const told = once(process, "SIGTERM");
log.info({ pid: process.pid }, "ready");

await told;
await worker.close(Number(SHUTDOWN_MS ?? 10_000), { broken: false });
await reconciler.close();
control.close();
process.exit(0);
