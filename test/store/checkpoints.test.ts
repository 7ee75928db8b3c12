import { expect, onTestFinished, test } from "vitest";
import { Damaged, Incomplete, LeaseLost, Unavailable } from "../../src/store/errors.ts";
import {
  acquire,
  checkpoint,
  eventTypes,
  lapse,
  newJob,
  metricRows,
  OWNER,
  postJob,
  progressAt,
  row,
  steps,
} from "./support.ts";
import { MiB, redis, server, setUpStore, store } from "./setup.ts";

setUpStore({ maxBytes: 64 * MiB });

test("a state of several chunks comes back unchanged, and only after it is committed", async () => {
  const id = await postJob(store);
  const lease = await acquire(store, id);
  const bytes = Buffer.alloc(9 * MiB + 17);
  bytes.forEach((_, i) => (bytes[i] = i % 251));
  const blob = (await lease.upload(bytes))!;
  expect(await steps(store, id)).toEqual([]);
  const lives = async () => await Promise.all((await redis.keys("*:chunk:*")).map((key) => redis.pttl(key)));
  expect((await lives()).map((ms) => ms > 0)).toEqual([true, true, true]);
  await lease.abandon(blob.blob);
  expect(await redis.keys("*:chunk:*")).toEqual([]);

  await checkpoint(lease, 10, { bytes, rows: [5, 10].map(row) });
  expect(bytes.equals((await store.jobs.checkpointBytes(OWNER, id, 10))!)).toBe(true);
  expect(await lives()).toEqual([-1, -1, -1]);
  expect(await metricRows(store, OWNER, id)).toEqual([5, 10].map(row));
  const manifests = await store.jobs.checkpoints(OWNER, id, { limit: 10 });
  expect(manifests!.data).toMatchObject([
    { step: 10, run: 1, bytes: bytes.length, metrics: { valid_loss: 0.1 + 0.2 } },
  ]);
  expect(await store.jobs.progress(OWNER, id)).toMatchObject({ step: 10, last_checkpoint_step: 10 });
});

test("if the end of a state is damaged, its beginning is not read either", async () => {
  const id = await postJob(store);
  const lease = await acquire(store, id);
  await checkpoint(lease, 10, { bytes: Buffer.alloc(5 * MiB) });
  expect((await store.jobs.checkpointHead(OWNER, id, 10))!.head).toHaveLength(2 * MiB);
  const [last] = await redis.keys("*:chunk:*:1");
  await redis.setrange(last, 7, "x");
  await expect(store.jobs.checkpointHead(OWNER, id, 10)).rejects.toThrow(Damaged);
});

test("steps above 2^31 and 2^32 are kept, found, ordered and rewound to like any others", async () => {
  const id = await postJob(store, { totalSteps: 1e13 });
  const lease = await acquire(store, id);
  const large = [2 ** 31 - 1, 2 ** 31, 2 ** 32 + 1, 99_999_999_999];
  await lease.report(1, progressAt(2 ** 31), [{ type: "evaluated", message: "", step: 2 ** 31, data: null }], []);
  for (const step of large) expect(await checkpoint(lease, step, { rows: [row(step)], keepLast: 4 })).toBe(true);
  expect((await steps(store, id)).sort((a, b) => a - b)).toEqual(large);
  expect((await lease.work()).checkpoint?.step).toBe(large[3]);
  expect(await metricRows(store, OWNER, id, 2 ** 31)).toEqual(large.slice(1).map(row));
  expect(await metricRows(store, OWNER, id, 2 ** 31, 2 ** 32)).toEqual([row(2 ** 31)]);
  const events = (await store.jobs.events(OWNER, id, { limit: 10 }))!.data;
  expect(events.find(({ type }) => type === "evaluated")?.step).toBe(2 ** 31);
  await lease.rewind(2 ** 32, [], { type: "rewound", message: "", step: 2 ** 32, data: null });
  expect((await lease.work()).checkpoint?.step).toBe(2 ** 31);
});

test("a state with a missing or short chunk is not committed, and the commit changes nothing", async () => {
  const id = await postJob(store);
  const lease = await acquire(store, id);
  for (const damage of ["missing", "short"]) {
    const blob = (await lease.upload(Buffer.alloc(9 * MiB)))!;
    const chunks = (await redis.keys(`*:chunk:${blob.blob}:*`)).sort();
    expect(chunks).toHaveLength(3);
    if (damage === "missing") await redis.del(chunks[1]);
    else await redis.set(chunks[2], "short");
    const state = { ...blob, step: 10, sha256: "", kinds: ["periodic" as const], metrics: {}, score: null };
    const event = { type: "checkpoint_committed", message: "", step: 10, data: null } as const;
    await expect(
      lease.commit(
        state,
        { keepLast: 3, keepBest: false, rewindStep: null },
        { progress: progressAt(10), event: event, rows: [] },
      ),
    ).rejects.toThrow(Incomplete);
    await lease.abandon(blob.blob);
  }
  expect(await steps(store, id)).toEqual([]);
  expect(await eventTypes(store, id)).toEqual(["created", "started"]);
  expect(await redis.keys("*:chunk:*")).toEqual([]);
});

test("retention keeps the last ones and the best; a download of a dropped one can still finish", async () => {
  const id = await postJob(store);
  const lease = await acquire(store, id);
  const scores = [0.5, 0.2, 0.3, 0.2, 0.9, 0.8];
  for (const [i, score] of scores.entries()) await checkpoint(lease, i + 1, { score, keepLast: 2, keepBest: true });
  expect(await steps(store, id)).toEqual([6, 5, 2]);
  expect((await eventTypes(store, id)).filter((type) => type === "checkpoint_committed")).toHaveLength(6);
  const ttls = await Promise.all((await redis.keys("*:chunk:*")).map((key) => redis.pttl(key)));
  expect(ttls.filter((ttl) => ttl === -1)).toHaveLength(3);
  expect(ttls.filter((ttl) => ttl > 590_000 && ttl <= 600_000)).toHaveLength(3);

  const page = await store.jobs.checkpoints(OWNER, id, { limit: 2 });
  expect(page).toMatchObject({ has_more: true, next: "5" });
  expect((await store.jobs.checkpoints(OWNER, id, { limit: 2, after: "5" }))!.data.map(({ step }) => step)).toEqual([
    2,
  ]);
});

test("if training may be rewound, a state to rewind to stays, and the next one too", async () => {
  const id = await postJob(store);
  const lease = await acquire(store, id);
  for (let step = 10; step <= 400; step += 10) {
    const rewindStep = Math.max(0, Math.floor((step - 50) / 25) * 25);
    await checkpoint(lease, step, { keepLast: 1, rewindStep });
    const kept = await steps(store, id);
    const old = kept.filter((other) => other <= rewindStep);
    expect(kept[0]).toBe(step);
    expect(kept.length).toBeLessThanOrEqual(3);
    // Twice as far back as training would be rewound.
    if (step > 130) expect(step - old[0]).toBeLessThanOrEqual(2 * (50 + 25));
  }
});

test("a state at exactly the step to which training would be rewound is old enough", async () => {
  const id = await postJob(store);
  const lease = await acquire(store, id);
  for (const step of [10, 20, 30]) await checkpoint(lease, step, { keepLast: 1, rewindStep: Math.max(0, step - 20) });
  expect(await steps(store, id)).toEqual([30, 20, 10]);
});

test("a rewind deletes everything after the step; doing it again changes nothing", async () => {
  const id = await postJob(store);
  const lease = await acquire(store, id);
  for (const step of [10, 20, 30]) await checkpoint(lease, step, { rows: [row(step - 5), row(step)] });
  await lease.report(1, progressAt(34), [], [row(34)]);
  const change = { step: 25, detected_step: 35, lr_factor: 0.5, finding: null };
  const event = { type: "rewound", message: "Back.", step: 25, data: null } as const;
  for (let i = 0; i < 2; i++) await lease.rewind(25, [change], event);
  expect(await steps(store, id)).toEqual([20, 10]);
  expect((await metricRows(store, OWNER, id))!.map(({ step }) => step)).toEqual([5, 10, 15, 20, 25]);
  expect((await eventTypes(store, id)).filter((type) => type === "rewound")).toHaveLength(1);
  expect(await lease.work()).toMatchObject({ checkpoint: { step: 20 }, changes: [change] });

  const second = { step: 5, detected_step: 24, lr_factor: 0.5, finding: null };
  await lapse(redis, id);
  const successor = await acquire(store, id);
  await expect(lease.rewind(5, [change, second], event)).rejects.toThrow(LeaseLost);
  await successor.rewind(5, [change, second], event);
  expect(await steps(store, id)).toEqual([]);
  expect(await successor.work()).toMatchObject({ checkpoint: null, changes: [change, second] });
  expect(await store.jobs.progress(OWNER, id)).toMatchObject({ last_checkpoint_step: null });
});

test("after a damaged checkpoint is given up, the rows up to the one before stay, or none", async () => {
  const id = await postJob(store);
  const lease = await acquire(store, id);
  await checkpoint(lease, 10, { rows: [5, 10].map(row) });
  await checkpoint(lease, 20, { rows: [15, 20].map(row) });
  await lease.report(1, progressAt(25), [], [row(25)]);
  expect(await lease.fallBack(20)).toBe("done");
  expect(await metricRows(store, OWNER, id)).toEqual([5, 10].map(row));
  expect(await lease.fallBack(10)).toBe("done");
  expect(await metricRows(store, OWNER, id)).toEqual([]);
});

test("a job that is deleted soon after its end also deletes its dropped blobs", async () => {
  const id = await postJob(store);
  const lease = await acquire(store, id);
  for (const step of [10, 20, 30]) await checkpoint(lease, step, { keepLast: 1 });
  expect(await redis.keys("*:chunk:*")).toHaveLength(3);
  await store.jobs.cancel(OWNER, id);
  await lease.finish({ status: "cancelled", progress: null, events: [] }, []);
  await store.jobs.remove(OWNER, id);
  expect(await redis.keys(`*${id}*`)).toEqual([]);
  expect(await redis.zcard("{rappel}:loose")).toBe(0);
});

test("a step that is committed twice has one checkpoint with both kinds", async () => {
  const id = await postJob(store);
  const lease = await acquire(store, id);
  await checkpoint(lease, 10, { bytes: Buffer.from("first") });
  await checkpoint(lease, 10, { bytes: Buffer.from("second"), kinds: ["final"] });
  const { data } = (await store.jobs.checkpoints(OWNER, id, { limit: 10 }))!;
  expect(data).toMatchObject([{ step: 10, kinds: ["periodic", "final"] }]);
  expect((await store.jobs.checkpointBytes(OWNER, id, 10))!.toString()).toBe("second");
});

test("a commit sent again, because its answer was lost, changes nothing", async () => {
  const id = await postJob(store);
  const lease = await acquire(store, id);
  const blob = (await lease.upload(Buffer.from("state")))!;
  const state = { ...blob, step: 10, sha256: "", kinds: ["periodic" as const], metrics: {}, score: null };
  const event = { type: "checkpoint_committed", message: "", step: 10, data: null } as const;
  for (let i = 0; i < 3; i++)
    await lease.commit(
      state,
      { keepLast: 3, keepBest: false, rewindStep: null },
      { progress: progressAt(10), event: event, rows: [row(10)] },
    );
  expect(await eventTypes(store, id)).toEqual(["created", "started", "checkpoint_committed"]);
  expect(await metricRows(store, OWNER, id)).toEqual([row(10)]);
  expect(await redis.pttl((await redis.keys("*:chunk:*"))[0])).toBe(-1);
});

test("checkpoints stop at their share of Redis' memory, and dropped ones make room first", async () => {
  const id = await postJob(store);
  const lease = await acquire(store, id);
  const bytes = Buffer.alloc(10 * MiB);
  // 70 % of 64 MiB hold four. Each dropped one is deleted when the next needs its room.
  for (let step = 1; step <= 12; step++) expect(await checkpoint(lease, step, { bytes, keepLast: 1 })).toBe(true);
  expect(await steps(store, id)).toEqual([12]);
  for (const step of [13, 14]) await checkpoint(lease, step, { bytes });
  const committed = await steps(store, id);
  expect(await checkpoint(lease, 99, { bytes: Buffer.alloc(20 * MiB) })).toBe(false);
  expect(await steps(store, id)).toEqual(committed);
  expect(await lease.renew(5000)).toBe("running");
});

test("when Redis is full, jobs can still be renewed, released, cancelled and finished; others cannot be created", async () => {
  const [first, second, third] = [await postJob(store), await postJob(store), await postJob(store)];
  const leases = await Promise.all([acquire(store, first), acquire(store, second), acquire(store, third)]);
  // Redis already holds more than it may now.
  await redis.config("SET", "maxmemory", 500_000);
  onTestFinished(() => void redis.config("SET", "maxmemory", 64 * MiB));

  const refused = await store.jobs.create(newJob()).catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(Unavailable);
  expect(refused).toMatchObject({ full: true });
  await leases[0].report(1, progressAt(1), [], [row(1)]);
  expect(await leases[0].upload(Buffer.alloc(1000))).toBeNull();

  expect(await leases[0].renew(5000)).toBe("running");
  await leases[0].finish({ status: "failed", progress: progressAt(1), events: [] }, [row(1)]);
  const requeued = { type: "requeued", message: "", step: null, data: null } as const;
  expect(await leases[1].release(requeued)).toBe("queued");
  expect((await store.jobs.cancel(OWNER, second))?.outcome).toBe("cancelled");
  await store.jobs.cancel(OWNER, third);
  await lapse(redis, third);
  expect(await store.upkeep.turn(5000)).toBe(true);
  await store.upkeep.sweep();
  expect(await store.jobs.get(OWNER, third)).toMatchObject({ status: "cancelled" });
  await store.upkeep.purge(-1000);
  expect((await store.jobs.list(OWNER, { limit: 10 })).data).toEqual([]);
});

test("while Redis is away everything fails at once and says so; afterwards nothing is lost", async () => {
  const id = await postJob(store);
  const lease = await acquire(store, id, { leaseMs: 60_000 });
  await checkpoint(lease, 10, { rows: [row(10)] });
  server.kill();
  for (const call of [() => store.ping(), () => store.jobs.get(OWNER, id), () => lease.renew(5000)]) {
    const failure = (await call().catch((error: unknown) => error)) as Error;
    expect(failure).toBeInstanceOf(Unavailable);
    // The call did not wait for an answer.
    expect(failure.message).not.toMatch(/timed out/i);
  }

  await server.restart();
  await expect
    .poll(
      () =>
        store.ping().then(
          () => "back",
          () => "away",
        ),
      { timeout: 20_000 },
    )
    .toBe("back");
  expect(await lease.renew(60_000)).toBe("running");
  expect(await steps(store, id)).toEqual([10]);
  expect(await metricRows(store, OWNER, id)).toEqual([row(10)]);
});

test("a page says that there is more, even if its own items were removed meanwhile", async () => {
  const id = await postJob(store);
  const lease = await acquire(store, id);
  for (const step of [1, 2, 3]) await checkpoint(lease, step);
  // The list of steps is read first, then each manifest. Retention comes between the two.
  await redis.del(`{rappel}:owner:${OWNER}:job:${id}:checkpoint:3`);
  const first = (await store.jobs.checkpoints(OWNER, id, { limit: 2 }))!;
  expect(first).toMatchObject({ data: [{ step: 2 }], has_more: true, next: "2" });
  const second = await store.jobs.checkpoints(OWNER, id, { limit: 2, after: first.next! });
  expect(second).toMatchObject({ data: [{ step: 1 }], has_more: false, next: null });
});
