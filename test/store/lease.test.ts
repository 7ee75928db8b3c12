import { describe, expect, test } from "vitest";
import { eachChunk } from "../../src/store/blobs.ts";
import { Database } from "../../src/store/database.ts";
import { LeaseLost } from "../../src/store/errors.ts";
import { Store } from "../../src/store/store.ts";
import {
  acquire,
  checkpoint,
  connected,
  eventTypes,
  lapse,
  metricRows,
  OWNER,
  postJob,
  progressAt,
  row,
  sha256,
  steps,
  tryAcquire,
} from "./support.ts";
import { redis, server, setUpStore, store } from "./setup.ts";

setUpStore();

const requeued = { type: "requeued", message: "The worker shut down.", step: 5, data: null } as const;

test("only one of many gets a job", async () => {
  const id = await postJob(store);
  const all = await Promise.all(Array.from({ length: 20 }, () => tryAcquire(store, id)));
  expect(all.filter(({ outcome }) => outcome === "taken")).toHaveLength(1);
  expect(await store.jobs.get(OWNER, id)).toMatchObject({ status: "running", run: 1 });
  expect(await eventTypes(store, id)).toEqual(["created", "started"]);
});

test("a lease lasts as long as it is renewed, and lapses by itself", async () => {
  const id = await postJob(store);
  const lease = await acquire(store, id, { leaseMs: 60_000 });
  expect(await lease.renew(600_000)).toBe("running");
  expect(await tryAcquire(store, id)).toEqual({ outcome: "gone" });
  expect(await lease.renew(1)).toBe("running");
  await lapsed(id);
  // It is late, but no other run has taken the job: this run may go on.
  expect(await lease.renew(1)).toBe("running");
  await lapsed(id);
  expect((await acquire(store, id)).run).toBe(2);
});

/** By Redis' clock. */
async function lapsed(id: string): Promise<void> {
  const record = `{rappel}:owner:${OWNER}:job:${id}`;
  const left = async () => {
    const [seconds, microseconds] = (await redis.time()).map(Number);
    return Number(await redis.hget(record, "lease_expires_at")) - (seconds * 1000 + microseconds / 1000);
  };
  await expect.poll(left).toBeLessThan(0);
}

test("a run cannot write anything after another run has taken the job", async () => {
  const id = await postJob(store);
  const zombie = await acquire(store, id);
  const blob = (await zombie.upload(Buffer.from("a late state")))!;
  await lapse(redis, id);
  const heir = await acquire(store, id);
  const before = await redis.hgetall(`{rappel}:owner:${OWNER}:job:${id}`);

  const state = { ...blob, step: 5, sha256: "", kinds: ["periodic" as const], metrics: {}, score: null };
  const attempts = [
    () => zombie.renew(5000),
    () => zombie.report(1, progressAt(5), [requeued], [row(5)]),
    // More rows than one script takes.
    () =>
      zombie.report(
        1,
        progressAt(5),
        [],
        Array.from({ length: 8000 }, (_, step) => row(step)),
      ),
    () => zombie.upload(Buffer.from("another")),
    () =>
      zombie.commit(
        state,
        { keepLast: 3, keepBest: false, rewindStep: null },
        { progress: progressAt(10), event: requeued, rows: [row(5)] },
      ),
    () => zombie.finish({ status: "succeeded", progress: progressAt(5), events: [] }, []),
    () => zombie.release(requeued),
  ];
  for (const attempt of attempts) await expect(attempt()).rejects.toThrow(LeaseLost);

  expect(await redis.hgetall(`{rappel}:owner:${OWNER}:job:${id}`)).toEqual(before);
  expect(await redis.keys("*:chunk:*")).toEqual([]);
  expect(await metricRows(store, OWNER, id)).toEqual([]);
  expect(await heir.renew(5000)).toBe("running");
});

test("nobody can write to an ended job, not even its last run", async () => {
  const id = await postJob(store);
  const lease = await acquire(store, id);
  await lapse(redis, id);
  expect((await store.jobs.cancel(OWNER, id))?.outcome).toBe("cancelled");
  await expect(lease.renew(5000)).rejects.toThrow(LeaseLost);
  await expect(lease.report(1, progressAt(1), [], [row(1)])).rejects.toThrow(LeaseLost);
  await expect(lease.finish({ status: "succeeded", progress: progressAt(1), events: [] }, [])).rejects.toThrow(
    LeaseLost,
  );
  expect((await tryAcquire(store, id)).outcome).toBe("gone");
});

test("a new run drops what came after the last checkpoint, and nothing before", async () => {
  const id = await postJob(store);
  const first = await acquire(store, id);
  await first.report(1, progressAt(30), [], [10, 20, 30].map(row));
  await checkpoint(first, 20);
  await first.report(2, progressAt(40), [], [row(40)]);
  await first.upload(Buffer.alloc(5 * 1024 * 1024));
  await lapse(redis, id);

  const second = await acquire(store, id);
  expect((await metricRows(store, OWNER, id))!.map(({ step }) => step)).toEqual([10, 20]);
  expect((await second.work()).checkpoint).toMatchObject({ step: 20, run: 1 });
  expect((await second.checkpointBytes(20))!.toString()).toMatch(/^the state at 20/);
  expect(await redis.keys("*:chunk:*")).toHaveLength(1);
  expect(await redis.keys("*:uploads")).toEqual([]);
  expect(await eventTypes(store, id)).toEqual(["created", "started", "checkpoint_committed", "lease_lost", "resumed"]);
  await second.report(1, progressAt(40), [], [30, 40].map(row));
  expect(await metricRows(store, OWNER, id)).toEqual([10, 20, 30, 40].map(row));
});

test("a report that is sent again is written once", async () => {
  const id = await postJob(store);
  const lease = await acquire(store, id);
  for (let i = 0; i < 3; i++) await lease.report(1, progressAt(2), [requeued], [row(1), row(2)]);
  expect(await metricRows(store, OWNER, id)).toEqual([1, 2].map(row));
  expect(await eventTypes(store, id)).toEqual(["created", "started", "requeued"]);
  const progress = { step: 2, progress: 0.02, samples_per_second: 1000, updated_at: expect.any(String) };
  expect(await store.jobs.progress(OWNER, id)).toMatchObject(progress);
});

test("a released job is queued, continues where it was, and counts no crash", async () => {
  const id = await postJob(store);
  for (let i = 0; i < 7; i++) {
    const lease = await acquire(store, id);
    if (i === 0) await checkpoint(lease, 5, { kinds: ["shutdown"] });
    expect(await lease.release(requeued)).toBe("queued");
    expect(await store.jobs.progress(OWNER, id)).toMatchObject({ status: "queued", samples_per_second: null });
    await expect(lease.renew(5000)).rejects.toThrow(LeaseLost);
  }
  const taken = await tryAcquire(store, id);
  expect(taken).toMatchObject({ outcome: "taken", alone: false, lease: { run: 8 } });
});

test("a run records its last events before it gives the job back", async () => {
  const id = await postJob(store);
  const lease = await acquire(store, id);
  const reported = ["evaluated", "diagnosed"] as const;
  await lease.release(
    requeued,
    reported.map((type) => ({ type, message: "Told.", step: 3, data: null })),
  );
  expect(await eventTypes(store, id)).toEqual(["created", "started", ...reported, "requeued"]);
});

test("a job that should be cancelled is cancelled when it is released", async () => {
  const id = await postJob(store);
  const lease = await acquire(store, id);
  await store.jobs.cancel(OWNER, id);
  expect(await lease.release(requeued)).toBe("cancelled");
  expect((await eventTypes(store, id)).slice(-2)).toEqual(["cancelling", "cancelled"]);
});

describe("the arithmetic version", () => {
  const job = async (id: string) => {
    const { arithmetic_version: began, arithmetic_changes: changes } = (await store.jobs.get(OWNER, id))!;
    return { began, changes };
  };
  const run = async (id: string, arithmeticVersion: number, steps: number[] = []) => {
    const lease = await acquire(store, id, { arithmeticVersion });
    for (const step of steps) await checkpoint(lease, step);
    await lease.release(requeued);
  };

  test("is the one that a job began with, not the one that it was posted with", async () => {
    const id = await postJob(store);
    await run(id, 2);
    expect(await job(id)).toEqual({ began: 2, changes: [] });
    expect(await eventTypes(store, id)).not.toContain("arithmetic_changed");
  });

  test("stays recorded, with the steps where it changed, also in the checkpoints", async () => {
    const id = await postJob(store);
    await run(id, 2, [10, 20]);
    await run(id, 3, [30]);
    await run(id, 3, [40]);
    await run(id, 5, [50]);
    const changes = [
      { step: 20, from: 2, to: 3 },
      { step: 40, from: 3, to: 5 },
    ];
    expect(await job(id)).toEqual({ began: 2, changes });
    const events = await eventTypes(store, id);
    expect(events.filter((type) => type === "arithmetic_changed")).toHaveLength(2);
    const { data } = (await store.jobs.checkpoints(OWNER, id, { limit: 10 }))!;
    expect(data.map(({ step, arithmetic_version }) => [step, arithmetic_version])).toEqual([
      [50, 5],
      [40, 3],
      [30, 3],
    ]);
  });

  test("is removed when the steps that it computed are dropped", async () => {
    const id = await postJob(store);
    // The first and the third run committed nothing.
    await run(id, 2);
    await run(id, 3, [10]);
    await run(id, 4);
    expect(await job(id)).toEqual({ began: 3, changes: [{ step: 10, from: 3, to: 4 }] });
    await run(id, 3, [20]);
    expect(await job(id)).toEqual({ began: 3, changes: [] });
  });

  test("is rewound with the job", async () => {
    const id = await postJob(store);
    await run(id, 2, [10, 20]);
    await run(id, 3, [30]);
    const lease = await acquire(store, id, { arithmeticVersion: 3 });
    await lease.rewind(10, [], { type: "diagnosed", message: "Back.", step: 10, data: null });
    expect(await job(id)).toEqual({ began: 2, changes: [{ step: 10, from: 2, to: 3 }] });
    await lease.rewind(5, [{ step: 5 } as never], { type: "diagnosed", message: "Back.", step: 5, data: null });
    expect(await job(id)).toEqual({ began: 3, changes: [] });
  });
});

test("finishing commits the last state, the models, the metrics and the result together, and drops the rest", async () => {
  const id = await postJob(store);
  const lease = await acquire(store, id);
  for (const step of [25, 50, 75]) await checkpoint(lease, step);
  const bytes = Buffer.alloc(9 * 1024 * 1024, "state");
  const model = { ...(await lease.upload(Buffer.from("weights"), "final"))!, sha256: sha256("weights") };
  const best = { ...(await lease.upload(Buffer.from("better weights"), "best"))!, sha256: sha256("better weights") };
  const state = {
    ...(await lease.upload(bytes))!,
    step: 100,
    sha256: sha256(bytes),
    kinds: ["final" as const],
    metrics: { valid_loss: 0.25 },
    score: null,
  };
  const result = {
    weights_sha256: model.sha256,
    steps: 100,
    epochs: 10,
    stop_reason: "completed" as const,
    metrics: { valid_loss: 0.25 },
    best: null,
    changes: [],
  };
  const notes = {
    layers: [{ name: "0", type: "linear", parameters: { weight: [1, 2] } }],
    inputs: [],
    target: { column: "y", task: "regression" as const, classes: null, mean: 0.1, std: 1 },
  };
  const succeeded = { type: "succeeded", message: "Done.", step: 100, data: null } as const;
  const ending = {
    status: "succeeded" as const,
    result,
    model: notes,
    progress: progressAt(100),
    state,
    models: { final: model, best },
    events: [succeeded],
  };
  await lease.finish(ending, [row(100)]);
  // Its answer may be lost; finishing again changes nothing.
  await lease.finish(ending, [row(100)]);

  const job = await store.jobs.get(OWNER, id);
  expect(job).toMatchObject({ status: "succeeded", result, error: null, progress: { step: 100, progress: 1 } });
  expect(job!.finished_at).not.toBeNull();
  expect(await metricRows(store, OWNER, id)).toEqual([row(100)]);
  expect((await eventTypes(store, id)).filter((type) => type === "succeeded")).toHaveLength(1);
  expect(await steps(store, id)).toEqual([100]);
  expect(bytes.equals((await store.jobs.checkpointBytes(OWNER, id, 100))!)).toBe(true);
  expect(await store.jobs.checkpointBytes(OWNER, id, 75)).toBeNull();
  expect(await store.jobs.model(OWNER, id, "final")).toEqual({ bytes: Buffer.from("weights"), sha256: model.sha256 });
  expect((await store.jobs.model(OWNER, id, "best"))!.bytes.toString()).toBe("better weights");
  expect(await store.jobs.description(OWNER, id)).toMatchObject({ job_id: id, weights_sha256: model.sha256, ...notes });
  expect((await tryAcquire(store, id)).outcome).toBe("gone");

  const chunks = await redis.keys("*:chunk:*");
  const permanent = await Promise.all(chunks.map(async (key) => (await redis.ttl(key)) === -1));
  expect(permanent.filter(Boolean)).toHaveLength(3 + 1 + 1);
  await store.upkeep.purge(-1000);
  const left = (await redis.keys("*")).filter((key) => !["{rappel}:owners", "{rappel}:ends"].includes(key));
  const owned = left.filter((key) => !key.includes(":chunk:") && key !== "{rappel}:dropped");
  expect(owned).toEqual([]);
  for (const key of left) expect(await redis.ttl(key)).toBeGreaterThan(0);
});

test("writes at regular intervals are no sign that a run moves", async () => {
  const lease = await acquire(store, await postJob(store));
  await lease.renew(5000);
  await lease.report(1, progressAt(1), [], []);
  expect(lease.answered).toBe(0);
  await lease.upload(Buffer.from("a state"));
  expect(lease.answered).toBeGreaterThan(0);
});

test("after a chunk that fails no other is stored, and nothing remains", async () => {
  const id = await postJob(store);
  const lease = await acquire(store, id);
  const given: number[] = [];
  const put = async (number: number) => {
    given.push(number);
    if (number === 1) throw new Error("no");
    // The other lane is still sending its chunk when the first one fails.
    await new Promise((resolve) => setImmediate(resolve));
  };
  await expect(eachChunk(Buffer.alloc(40 * 1024 * 1024), put)).rejects.toThrow("no");
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(given).toEqual([0, 1]);
  expect(await lease.upload(Buffer.from("another"))).not.toBeNull();
});

test("a run that lost its lease cannot add to a blob that it began", async () => {
  const id = await postJob(store);
  const connection = await connected(server);
  const zombies = new Store(connection);
  const zombie = await acquire(zombies, id);
  const key = `{rappel}:owner:${OWNER}:job:${id}`;
  const { blob } = (await zombie.upload(Buffer.from("the first chunk")))!;
  const token = (await redis.hget(key, "token"))!;
  await lapse(redis, id);
  await acquire(store, id);
  const add = new Database(connection).run("chunk", key, 1, token, blob, 1, "the second");
  await expect(add).rejects.toThrow(LeaseLost);
  expect(await redis.keys("*:chunk:*")).toEqual([]);
});

test("a worker takes a job that fits beside its others, and an idle worker one of any size", async () => {
  const id = await postJob(store, { memoryBytes: 1000 });
  expect((await tryAcquire(store, id, { idle: false, memoryLeft: 999 })).outcome).toBe("alone");
  expect((await store.jobs.get(OWNER, id))!.status).toBe("queued");
  const taken = await tryAcquire(store, id, { idle: false, memoryLeft: 1000 });
  expect(taken).toMatchObject({ outcome: "taken", memoryBytes: 1000, alone: false });
  const other = await postJob(store, { memoryBytes: 1000 });
  expect(await tryAcquire(store, other, { idle: true, memoryLeft: 0 })).toMatchObject({ outcome: "taken" });
});
