// What jobs are promised, and what becomes of it (src/store/room.ts).
import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { NoRoom } from "../../src/store/errors.ts";
import { keys } from "../../src/store/keys.ts";
import type { Lease } from "../../src/store/lease.ts";
import { roomOf } from "../../src/store/room.ts";
import type { ResolvedSpec } from "../../src/contract/schema/spec.ts";
import { acquire, checkpoint, lapse, newJob, metricRows, OWNER } from "./support.ts";
import { postJob, progressAt, room, row, steps } from "./support.ts";
import { expire, free, loose, MiB, redis, setUpStore, store, usage } from "./setup.ts";
import { nothingTold } from "../support/contexts.ts";

const MAX_BYTES = 64 * MiB;
const WEIGHTS_SHA256 = createHash("sha256").update("weights").digest("hex");
const FILLABLE = Math.floor(0.7 * MAX_BYTES);

setUpStore({ maxBytes: MAX_BYTES });

const requeued = { type: "requeued" as const, message: "Given back.", step: null, data: null };

async function succeed(lease: Awaited<ReturnType<typeof acquire>>): Promise<void> {
  const final = { ...(await lease.upload(Buffer.from("weights"), "final"))!, sha256: WEIGHTS_SHA256 };
  await lease.finish({ status: "succeeded", progress: null, models: { final }, events: [] }, []);
}

test("one of two simultaneous posts gets the last room; the other hears how much is free, and gets it later", async () => {
  const most = room(0.6 * FILLABLE);
  const posts = [newJob({ room: most }), newJob({ room: most })];
  const [first, second] = await Promise.allSettled(posts.map((job) => store.jobs.create(job)));
  const refused = [first, second].find(({ status }) => status === "rejected") as PromiseRejectedResult;
  expect([first.status, second.status].sort()).toEqual(["fulfilled", "rejected"]);
  expect(refused.reason).toBeInstanceOf(NoRoom);
  expect(refused.reason).toMatchObject({ needBytes: Math.floor(most.bytes), limitBytes: FILLABLE });
  expect(refused.reason.freeBytes).toBeLessThan(most.bytes);
  expect(await store.overview.room()).toMatchObject({ full: true });
  expect(await store.fullness()).toMatch(/^full: \d+ bytes are used and \d+ reserved of \d+/);

  const winner = first.status === "fulfilled" ? posts[0] : posts[1];
  await store.jobs.cancel(OWNER, winner.id);
  expect(await store.overview.room()).toMatchObject({ full: false, reserved: 0 });
  await store.jobs.create(newJob({ room: most }));
});

test("whatever a job does, it uses its promise and gives it back; nothing is left at the end", async () => {
  const id = await postJob(store, { room: room(20 * MiB) });
  const other = await postJob(store, { room: room(MiB) });
  const promised = async () => {
    const of = async (job: string) => (await redis.hmget(keys.job(OWNER, job), "reserved", "spent")).map(Number);
    const [[reserved, spent], [reservedToo, spentToo]] = await Promise.all([of(id), of(other)]);
    return reserved - spent + reservedToo - spentToo;
  };
  const lease = await acquire(store, id);
  const bytes = Buffer.alloc(3 * MiB);
  for (const step of [10, 20, 30]) await checkpoint(lease, step, { bytes, keepLast: 2, rows: [row(step)] });
  await lease.upload(bytes, "state");
  await lease.rewind(25, [], { type: "rewound", message: "Back.", step: 25, data: null });
  await lease.report(1, progressAt(26), [], [row(26)]);
  expect((await store.overview.room()).reserved).toBe(await promised());
  // A checkpoint, and an upload that the next run deletes.
  expect(Number(await redis.hget(keys.job(OWNER, id), "spent"))).toBeGreaterThan(6 * MiB);
  await lapse(redis, id);
  const successor = await acquire(store, id);
  expect(Number(await redis.hget(keys.job(OWNER, id), "spent"))).toBeLessThan(4 * MiB);
  expect((await store.overview.room()).reserved).toBe(await promised());
  await successor.release(requeued);
  await succeed(await acquire(store, id));
  const counted = Number(await redis.hget(keys.job(OWNER, id), "counted_bytes"));
  expect(await usage()).toEqual({ checkpoint_bytes: String(counted + MiB) });
  await store.jobs.cancel(OWNER, other);
  expect(await redis.hget(keys.room, "promised")).toBeNull();
  await store.upkeep.purge(-1000);
  expect(await usage()).toEqual({});
});

test.each([
  ["is taken back", (lease) => lease.rewind(15, [], { type: "rewound", message: "Back.", step: 15, data: null })],
  ["gives up a damaged checkpoint", (lease) => lease.fallBack(20)],
] satisfies [string, (lease: Lease) => Promise<unknown>][])(
  "the rows that go when a job %s give their room back",
  async (_, goBack) => {
    const spent = async (id: string) => Number(await redis.hget(keys.job(OWNER, id), "spent"));
    const sums: [before: number, after: number][] = [];
    for (const rows of [[], Array.from({ length: 500 }, (_, i) => row(16 + i))]) {
      const id = await postJob(store, { room: room(MiB) });
      const lease = await acquire(store, id);
      await checkpoint(lease, 10, { rows: [row(10)] });
      await checkpoint(lease, 20, { rows: rows.slice(0, 4) });
      await lease.report(1, progressAt(600), [], rows);
      const before = await spent(id);
      await goBack(lease);
      sums.push([before, await spent(id)]);
      expect(await metricRows(store, OWNER, id)).toEqual([row(10)]);
      const [reserved] = await redis.hmget(keys.job(OWNER, id), "reserved");
      expect((await store.overview.room()).reserved).toBe(Number(reserved) - (await spent(id)));
      await store.jobs.cancel(OWNER, id);
      await lease.finish({ status: "cancelled", progress: null, events: [] }, []);
    }
    const [without, withRows] = sums;
    expect(withRows[0]).toBeGreaterThan(without[0] + 3000);
    expect(withRows[1]).toBe(without[1]);
  },
);

test("an upload finds room in a full store: the oldest dropped blob is deleted, and nothing else", async () => {
  const old = await postJob(store, { room: room(30 * MiB) });
  const lease = await acquire(store, old);
  for (const step of [1, 2, 3, 4]) await checkpoint(lease, step, { bytes: Buffer.alloc(4 * MiB), keepLast: 1 });
  const dropped = await loose();
  expect(dropped).toHaveLength(3);
  await succeed(lease);
  // This takes all the room, also that of the dropped blobs.
  const most = (await free()) - MiB;
  const id = await postJob(store, { room: room(most) });
  const next = await acquire(store, id);
  expect(await next.upload(Buffer.alloc(Math.floor(most / 1.25) - 6 * MiB), "state")).not.toBeNull();
  const left = await loose();
  expect(left.length).toBeLessThan(3);
  expect(left).toEqual(dropped.slice(3 - left.length));
  // A state finds room after the model is stored.
  expect(await next.upload(Buffer.alloc(MiB), "final")).not.toBeNull();
  expect(await next.upload(Buffer.alloc(4 * MiB), "best")).not.toBeNull();
  expect(await steps(store, old)).toEqual([4]);
  expect((await store.jobs.model(OWNER, old, "final"))!.bytes.toString()).toBe("weights");
});

test("expired blobs leave the list of dropped blobs while the job runs", async () => {
  const id = await postJob(store, { room: room(MiB) });
  const lease = await acquire(store, id);
  const dropped = () => redis.lrange(`${keys.job(OWNER, id)}:dropped`, 0, -1);
  for (const step of [1, 2, 3, 4, 5, 6]) await checkpoint(lease, step, { keepLast: 1 });
  expect(await dropped()).toHaveLength(5);
  await expire("loose");
  for (const step of [7, 8, 9]) await checkpoint(lease, step, { keepLast: 1 });
  expect(await dropped()).toHaveLength(3);
  expect(await dropped()).toEqual(await loose());
});

test("an upload that is given up gives its room back at once", async () => {
  const id = await postJob(store, { room: room(20 * MiB) });
  const lease = await acquire(store, id);
  const spent = () => redis.hget(`{rappel}:owner:${OWNER}:job:${id}`, "spent");
  const [before, { reserved }] = [await spent(), await store.overview.room()];
  const { blob } = (await lease.upload(new Uint8Array(5 * MiB)))!;
  expect((await store.overview.room()).reserved).toBeLessThan(reserved);
  await lease.abandon(blob);
  expect([await spent(), (await store.overview.room()).reserved]).toEqual([before, reserved]);
  // Giving it up again changes nothing.
  await lease.abandon(blob);
  expect(await spent()).toBe(before);
});

test("the room of an interrupted upload goes to the next one for the same purpose", async () => {
  const id = await postJob(store, { room: room(10 * MiB) });
  const lease = await acquire(store, id);
  const [first, final] = [
    await lease.upload(Buffer.alloc(MiB), "state"),
    await lease.upload(Buffer.alloc(100), "final"),
  ];
  const second = await lease.upload(Buffer.alloc(MiB), "state");
  expect(Object.keys(await redis.hgetall(`${keys.job(OWNER, id)}:uploads`)).sort()).toEqual(
    [final!.blob, second!.blob].sort(),
  );
  expect(await redis.exists(keys.chunk(keys.job(OWNER, id), first!.blob, 0))).toBe(0);
});

test("a job that takes more than it was promised takes nothing from other promises", async () => {
  const other = await postJob(store, { room: room(MiB) });
  const before = (await store.overview.room()).reserved;
  // The record alone takes more.
  const id = await postJob(store, { room: room(1000) });
  const lease = await acquire(store, id);
  await checkpoint(lease, 10, { bytes: Buffer.alloc(10_000) });
  expect((await store.overview.room()).reserved).toBe(before);
  await succeed(lease);
  await store.jobs.cancel(OWNER, other);
  expect(await redis.hget(keys.room, "promised")).toBeNull();
});

test("a store is full as long as there is no room for the smallest need that was refused", async () => {
  const other = await postJob(store, { room: room(10 * MiB) });
  const left = await free();
  for (const more of [20 * MiB, 5 * MiB, 15 * MiB])
    await expect(store.jobs.create(newJob({ room: room(left + more) }))).rejects.toBeInstanceOf(NoRoom);
  expect(await store.overview.room()).toMatchObject({ full: true });
  await store.jobs.cancel(OWNER, other);
  expect(await store.overview.room()).toMatchObject({ full: false });
});

test("a wrong sum of promises is put right when no job is open", async () => {
  const [first, second] = [1, 2].map(() => newJob({ room: room(MiB) }));
  for (const job of [first, second]) await store.jobs.create(job);
  await redis.hincrby(keys.room, "promised", 5000);
  await store.jobs.cancel(OWNER, first.id);
  expect(Number(await redis.hget(keys.room, "promised"))).toBeGreaterThan(5000);
  await store.jobs.cancel(OWNER, second.id);
  expect(await redis.hget(keys.room, "promised")).toBeNull();
});

test("uncommitted uploads are deleted when the job ends", async () => {
  const id = await postJob(store, { room: room(10 * MiB) });
  const lease = await acquire(store, id);
  await lease.upload(Buffer.alloc(MiB), "state");
  await lease.finish({ status: "failed", progress: null, events: [] }, []);
  expect(await redis.keys(`*${id}:chunk:*`)).toEqual([]);
  expect(await redis.keys(`*${id}:uploads`)).toEqual([]);
  expect(Number((await usage()).checkpoint_bytes)).toBeLessThan(MiB);
});

test("what a job records at its end counts as room", async () => {
  const ending = async (message: string) => {
    const before = Number((await usage()).checkpoint_bytes ?? 0);
    const lease = await acquire(store, await postJob(store, { room: room(MiB) }));
    const error = { code: "internal", message, suggestion: null, step: null } as const;
    await lease.finish({ status: "failed", progress: null, error, events: [] }, []);
    return Number((await usage()).checkpoint_bytes) - before;
  };
  expect((await ending("x".repeat(100_000))) - (await ending("x"))).toBeGreaterThanOrEqual(100_000);
});

test("uncommitted uploads are deleted when a run gives the job back", async () => {
  const id = await postJob(store, { room: room(10 * MiB) });
  const lease = await acquire(store, id);
  const spent = async () => Number(await redis.hget(keys.job(OWNER, id), "spent"));
  const before = await spent();
  await lease.upload(Buffer.alloc(MiB), "state");
  expect(await spent()).toBeGreaterThan(before + MiB);
  await lease.release(requeued);
  expect(await redis.keys("*:chunk:*")).toEqual([]);
  expect(await spent()).toBeLessThan(before + 1000);
});

test("the record of a model counts as room", async () => {
  const id = await postJob(store, { room: room(10 * MiB) });
  const lease = await acquire(store, id);
  await lease.finish({ status: "failed", progress: null, events: [] }, []);
  const without = Number((await usage()).checkpoint_bytes);
  await succeed(await acquire(store, await postJob(store, { room: room(10 * MiB) })));
  const [weights, chunk, record] = [Math.ceil("weights".length * 1.25), 250, 300];
  expect(Number((await usage()).checkpoint_bytes)).toBe(2 * without + weights + chunk + record);
});

test("a job that may be rewound is promised two more states than one that may not", () => {
  const size = 2 ** 30;
  const none = { numbers: 0, names: 0 };
  const sizes = {
    state: size,
    model: 0,
    notes: 0,
    evaluation: 0,
    logRow: none,
    evaluationRow: none,
    observedRow: none,
  };
  const promised = (diverging: object) => {
    const { spec } = newJob();
    const parts = {
      data: { validation: null },
      training: { epochs: 1, eval_every_epochs: 1, log_every_steps: 1 },
      observe: null,
      checkpoint: { every_steps: null, every_seconds: null, keep_last: 1, keep_best: false },
      detectors: { diverging },
    };
    return roomOf(
      {
        spec: { ...spec, ...parts } as unknown as ResolvedSpec,
        sizes,
        totalSteps: 10,
        warnings: [],
        inherited: null,
        told: nothingTold,
      },
      0,
    ).bytes;
  };
  const more = promised({ policy: "rewind", rewind: { max: 1 } }) - promised({ policy: "warn" });
  expect(Math.round(more / (1.25 * size))).toBe(2);
});

test("no more checkpoints are kept than the promised room allows", async () => {
  const id = await postJob(store, { room: { ...room(MiB), keepMost: 2 } });
  const lease = await acquire(store, id);
  for (const step of [1, 2, 3, 4]) await checkpoint(lease, step, { keepLast: 100 });
  expect(await steps(store, id)).toEqual([4, 3]);
});

test("a job with an older record ends, and then its owner's bytes are right", async () => {
  const id = await postJob(store, { room: room(100_000) });
  const job = keys.job(OWNER, id);
  await redis.hdel(job, "reserved", "spent", "event_limits", "message_bytes", "keep_most");
  await redis.hdel(keys.room, "promised");
  const lease = await acquire(store, id);
  expect(Number(await redis.hget(job, "reserved"))).toBe(100_000);
  await checkpoint(lease, 10, { bytes: Buffer.alloc(10_000), rows: [row(10)] });
  // The job was counted for less than it needs, and there is no more room. Its run goes on without
  // checkpoints, and ends when there is room.
  await postJob(store, { room: room((await free()) - 50_000) });
  expect(await lease.upload(Buffer.alloc(200_000), "state")).toBeNull();
  await succeed(lease);
  expect(Number((await usage()).checkpoint_bytes) - FILLABLE).toBeLessThan(0);
  expect(Number(await redis.hget(job, "counted_bytes"))).toBeGreaterThan(10_000);
  await store.upkeep.purge(-1000);
  const [other] = await redis.hvals("{rappel}:open");
  expect(other).toBe(OWNER);
  expect(Object.keys(await usage())).toEqual(["checkpoint_bytes"]);
});
