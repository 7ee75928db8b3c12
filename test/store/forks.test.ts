// The state that a fork begins with: its copy, and the room that the copy takes.
import { expect, test } from "vitest";
import { NoRoom } from "../../src/store/errors.ts";
import type { Fork } from "../../src/store/new-job.ts";
import { keys } from "../../src/store/keys.ts";
import type { Lease } from "../../src/store/lease.ts";
import type { Origin } from "../../src/store/record.ts";
import { acquire, checkpoint, newJob, OWNER } from "./support.ts";
import { postJob, room } from "./support.ts";
import { expire, loose, MiB, redis, setUpStore, store, usage } from "./setup.ts";

const MAX_BYTES = 64 * MiB;

setUpStore({ maxBytes: MAX_BYTES });

test("a fork's room is promised before the copy, lapses if the fork is abandoned, and is given back with the copy", async () => {
  const parent = await postJob(store, { room: room(10 * MiB) });
  const lease = await acquire(store, parent);
  await checkpoint(lease, 10, { bytes: Buffer.alloc(5 * MiB) });
  const { blob, checkpoint: manifest } = (await store.jobs.checkpointHead(OWNER, parent, 10))!;
  const origin = {
    step: 10,
    bytes: manifest.bytes,
    sha256: manifest.sha256,
    metrics: {},
    use: "state",
    changes: {},
  } as const;
  const fork: Fork = { parent: { job_id: parent, step: 10 }, blob, origin, progress: null };
  const before = [await usage(), await redis.hgetall(keys.room)];
  const forking = () => newJob({ fork, room: room(12 * MiB), datasetIds: ["ds_gone"] });

  // The fork is refused after the copy was made: its dataset is gone.
  const abandoned = forking();
  expect(await store.jobs.reserve(abandoned)).toMatchObject({ outcome: "reserved" });
  expect(await usage()).toEqual({ checkpoint_bytes: String(22 * MiB) });
  await expect(store.jobs.reserve(newJob({ room: room(30 * MiB) }))).rejects.toBeInstanceOf(NoRoom);
  expect((await store.jobs.create(abandoned)).outcome).toBe("dataset_missing");
  const copies = await redis.keys("*:chunk:origin:*");
  expect(copies).toHaveLength(2);
  for (const key of copies) expect(await redis.pttl(key)).toBeGreaterThan(0);
  await expire("pending");
  expect((await store.overview.room()).reserved).toBeLessThan(10 * MiB);
  expect(await usage()).toEqual(before[0]);

  const refused = forking();
  await store.jobs.reserve(refused);
  await store.jobs.create(refused);
  await store.jobs.unreserve(refused);
  expect((await redis.keys("*:chunk:origin:*")).sort()).toEqual(copies.sort());
  expect(await usage()).toEqual(before[0]);

  const made = { ...forking(), datasetIds: [] };
  await store.jobs.reserve(made);
  expect((await store.jobs.create(made)).outcome).toBe("created");
  expect(await usage()).toEqual({ checkpoint_bytes: String(22 * MiB) });
  // The copy has taken its part of what was promised.
  expect(Number(await redis.hget(keys.job(OWNER, made.id), "spent"))).toBeGreaterThan(manifest.bytes);
  await store.jobs.cancel(OWNER, made.id);
  expect(await loose()).toContainEqual(expect.stringContaining(`${made.id}:chunk:origin`));
  await expire("loose");
  await store.overview.room();
  expect((await redis.keys("*:chunk:origin:*")).sort()).toEqual(copies.sort());
});

/** A run of a fork that continues from its parent's state at step 10. */
async function forked(): Promise<{ origin: Origin; lease: Lease }> {
  const parent = await postJob(store, { room: room(MiB) });
  await checkpoint(await acquire(store, parent), 10);
  const { blob, checkpoint: manifest } = (await store.jobs.checkpointHead(OWNER, parent, 10))!;
  const { bytes, sha256 } = manifest;
  const origin: Origin = { step: 10, bytes, sha256, metrics: {}, use: "state", changes: {} };
  const fork: Fork = { parent: { job_id: parent, step: 10 }, blob, origin, progress: null };
  const job = newJob({ fork, room: room(MiB) });
  await store.jobs.reserve(job);
  await store.jobs.create(job);
  return { origin, lease: await acquire(store, job.id) };
}

test("a fork that is rewound to its origin still has it, and one that is rewound further does not", async () => {
  const { origin, lease } = await forked();
  const change = { detected_step: 20, lr_factor: 0.5, finding: null };
  const event = { type: "rewound" as const, message: "Back.", step: null, data: null };
  await lease.rewind(10, [{ ...change, step: 10 }], event);
  expect((await lease.work()).origin).toEqual(origin);
  await lease.rewind(9, [{ ...change, step: 9 }], event);
  expect((await lease.work()).origin).toBeNull();
});

test("a fork that keeps one checkpoint has its origin until it ends, because its own may be damaged", async () => {
  const { origin, lease } = await forked();
  for (const step of [20, 30, 40]) await checkpoint(lease, step, { keepLast: 1 });
  expect((await lease.work()).origin).toEqual(origin);
  expect(await lease.fallBack(40)).toBe("done");
  expect(await lease.work()).toMatchObject({ origin, checkpoint: null });
});

test("a fork has its origin until it has two checkpoints of its own", async () => {
  const { origin, lease } = await forked();
  await checkpoint(lease, 20);
  expect((await lease.work()).origin).toEqual(origin);
  await checkpoint(lease, 30);
  expect((await lease.work()).origin).toBeNull();
});
