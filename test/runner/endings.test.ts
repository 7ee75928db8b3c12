import type { Redis } from "ioredis";
import { pino } from "pino";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Checkpoints } from "../../src/runner/checkpoints.ts";
import { Endings } from "../../src/runner/endings.ts";
import { Heartbeat } from "../../src/runner/heartbeat.ts";
import { JobFailure } from "../../src/runner/failures.ts";
import { Reporter } from "../../src/runner/reporter.ts";
import { untraced } from "../../src/runner/trace.ts";
import { retrying } from "../../src/retries.ts";
import { Store } from "../../src/store/store.ts";
import { acquire, connected, metricRows, OWNER, postJob, progressAt, row } from "../store/support.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";
import { member, smallJob, train } from "../support/training.ts";

let server: TestRedis;
let redis: Redis;
let store: Store;
beforeAll(async () => {
  server = await startTestRedis();
  // Over one connection, what is sent first is done first.
  redis = await connected(server);
  store = new Store(redis);
});
afterAll(() => server.stop());

const log = pino({ level: "silent" });

/** A job whose model is not small enough to go with the script that ends it. */
function largeJob() {
  const linear = (outputs: number | null) => member("layers", "linear", { out_features: outputs });
  return smallJob({ layers: [linear(200), linear(200), linear(null)], training: { epochs: 1 } });
}

test("uploads that expired before the job could end are repeated", async () => {
  const { state, outcome } = await train(largeJob());
  const id = await postJob(store);
  const lease = await acquire(store, id);
  const life = { gone: new AbortController().signal, log };
  const reporter = new Reporter(
    lease,
    () => progressAt(1),
    log,
    () => {},
  );
  reporter.metrics([row(1)]);
  const words: Promise<unknown>[] = [];
  const expire = "for _, key in ipairs(redis.call('KEYS', '*:chunk:*')) do redis.call('DEL', key) end";
  const endings = new Endings(lease, reporter, life, () => {
    words.push(words.length === 0 ? redis.eval(expire, 0) : Promise.resolve());
  });
  const spec = { checkpoint: { keep_best: false }, training: { early_stopping: null } } as never;
  const checkpoints = new Checkpoints(lease, spec, reporter, life, untraced, () => {});
  const file = { step: 1, kinds: ["final" as const], metrics: {}, ...state! };
  const finished = { outcome, spec, state: file, notes: { layers: [], inputs: [], target: {} } } as never;
  expect(await endings.succeeded(finished, progressAt(1), checkpoints, () => false, life)).toBe(true);
  await Promise.all(words);
  expect(words).toHaveLength(2);
  const job = (await store.jobs.get(OWNER, id))!;
  expect(job.status).toBe("succeeded");
  const model = (await store.jobs.model(OWNER, id, "final"))!;
  expect(model.sha256).toBe(job.result!.weights_sha256);
  expect(await metricRows(store, OWNER, id)).toEqual([row(1)]);
});

test("a diverged job records its remaining events, then the divergence, then the failure", async () => {
  const id = await postJob(store);
  const lease = await acquire(store, id);
  const life = { gone: new AbortController().signal, log };
  const reporter = new Reporter(
    lease,
    () => progressAt(7),
    log,
    () => {},
  );
  reporter.event("evaluated", "Evaluated.", 6);
  const endings = new Endings(lease, reporter, life, () => {});
  const failure = new JobFailure("diverged", "The loss rose.", "Lower the learning rate.", 7);
  await endings.failed(failure, progressAt(7));
  const { data } = (await store.jobs.events(OWNER, id, { limit: 10 }))!;
  expect(data.map(({ type }) => type)).toEqual(["created", "started", "evaluated", "diverged", "failed"]);
  for (const event of data.slice(-2)) {
    const reported = { code: "diverged", suggestion: "Lower the learning rate." };
    expect(event).toMatchObject({ message: "The loss rose.", step: 7, data: reported });
  }
});

test("a heartbeat that finds its own job ended is no lost lease; one that finds another run is", async () => {
  const beat = async (silently: boolean) => {
    const id = await postJob(store);
    const lease = await acquire(store, id);
    const { promise, resolve } = Promise.withResolvers<string>();
    const handlers = {
      status: () => {},
      away: () => {},
      back: () => {},
      lost: () => resolve("lost"),
      broken: () => resolve("broken"),
    };
    const heartbeat = new Heartbeat(lease, 60_000, () => "own", handlers, log);
    if (silently) heartbeat.lastWriteBegins();
    await lease.finish({ status: "failed", progress: null, events: [] }, []);
    heartbeat.renewNow();
    // The beat is answered before this.
    await redis.ping();
    setImmediate(() => resolve("nothing"));
    const heard = await promise;
    heartbeat.close();
    return heard;
  };
  expect(await beat(false)).toBe("lost");
  expect(await beat(true)).toBe("nothing");
});

test("a heartbeat that fails after its run has ended is not listed as retrying", async () => {
  const connection = await connected(server);
  const lease = await acquire(new Store(connection), await postJob(store));
  const unexpected = () => expect.unreachable();
  const { promise: failed, resolve: away } = Promise.withResolvers<void>();
  const handlers = { status: unexpected, away, back: unexpected, lost: unexpected, broken: unexpected };
  const heartbeat = new Heartbeat(lease, 60_000, () => "own", handlers, log);
  server.kill("SIGSTOP");
  try {
    heartbeat.renewNow();
    heartbeat.close();
    await failed;
  } finally {
    server.kill("SIGCONT");
  }
  expect(retrying()).toEqual([]);
});

test("an upload that ends while it waits for room is not listed as retrying", async () => {
  const { state, outcome } = await train(smallJob());
  const lease = await acquire(store, await postJob(store));
  const gone = new AbortController();
  const life = { gone: gone.signal, log };
  const reporter = new Reporter(
    lease,
    () => null,
    log,
    () => {},
  );
  const endings = new Endings(lease, reporter, life, () => {});
  const spec = { checkpoint: { keep_best: false }, training: { early_stopping: null } } as never;
  const checkpoints = new Checkpoints(lease, spec, reporter, life, untraced, () => {});
  const file = { step: 1, kinds: ["final" as const], metrics: {}, ...state! };
  const finished = { outcome, spec, state: file, notes: { layers: [], inputs: [], target: {} } } as never;
  const waited: unknown[] = [];
  const interrupted = (waiting: boolean) => {
    if (waiting) waited.push(...retrying());
    if (waited.length === 2) gone.abort();
    return false;
  };
  await redis.config("SET", "maxmemory", 1);
  try {
    await endings.succeeded(finished, progressAt(1), checkpoints, interrupted, life).catch(() => undefined);
  } finally {
    await redis.config("SET", "maxmemory", 0);
    reporter.stop();
  }
  expect(waited).toMatchObject([1, 2].map((failures) => ({ loop: "room", failures })));
  expect(retrying()).toEqual([]);
  // The event comes once, however long it lasts.
  expect(await reporter.close(life)).toMatchObject([{ type: "checkpoint_failed" }]);
});
