// Small files go with the script that commits them.
import { expect, test } from "vitest";
import { Unavailable } from "../../src/store/errors.ts";
import { CARRIED_BYTES } from "../../src/store/blobs.ts";
import { keys } from "../../src/store/keys.ts";
import type { Ending, State } from "../../src/store/lease.ts";
import { acquire, eventTypes, OWNER, postJob, progressAt, room, row, sha256, steps } from "./support.ts";
import { MiB, redis, setUpStore, store, usage } from "./setup.ts";

setUpStore();

const bytes = Buffer.from("the state at 10");
const counted = async (id: string) => redis.hmget(keys.job(OWNER, id), "spent", "counted_bytes");
const news = { progress: progressAt(10), rows: [row(10)] };
const event = { type: "checkpoint_committed" as const, message: "Committed.", step: 10, data: null };
const retention = { keepLast: 3, keepBest: false, rewindStep: null };

function stateOf(blob: { blob: string; bytes: number }): State {
  return { ...blob, step: 10, sha256: sha256(bytes), kinds: ["periodic"], metrics: {}, score: null };
}

async function endingOf(lease: Awaited<ReturnType<typeof acquire>>, store: "store" | "upload"): Promise<Ending> {
  const model = { ...(await lease[store](bytes, "final"))!, sha256: sha256(bytes) };
  const state = stateOf((await lease[store](bytes, "state"))!);
  const events = [{ type: "succeeded" as const, message: "Trained.", step: 10, data: null }];
  return { status: "succeeded", progress: progressAt(10), state, models: { final: model }, events };
}

test("a state that is carried is the same, and takes as much, as one that was uploaded", async () => {
  const rooms: unknown[] = [];
  for (const how of ["upload", "store"] as const) {
    const lease = await acquire(store, await postJob(store, { room: room(MiB) }));
    await lease.commit(stateOf((await lease[how](bytes, "state"))!), retention, { ...news, event });
    expect(await store.jobs.checkpointBytes(OWNER, lease.jobId, 10)).toEqual(bytes);
    await lease.finish(await endingOf(lease, how), []);
    expect((await store.jobs.model(OWNER, lease.jobId, "final"))!.bytes).toEqual(bytes);
    rooms.push(await counted(lease.jobId));
  }
  expect(rooms[1]).toEqual(rooms[0]);
});

test("what comes along is written once, even if its script comes again", async () => {
  const lease = await acquire(store, await postJob(store, { room: room(MiB) }));
  const state = stateOf((await lease.store(bytes, "state"))!);
  const commit = () => lease.commit(state, retention, { ...news, event });
  await commit();
  const before = await counted(lease.jobId);
  await commit();
  expect(await counted(lease.jobId)).toEqual(before);
  expect(await redis.keys("*:chunk:*")).toHaveLength(1);
  expect(await redis.keys("*:uploads")).toEqual([]);
  const ending = await endingOf(lease, "store");
  for (let i = 0; i < 2; i++) await lease.finish(ending, [row(10)]);
  expect(await steps(store, lease.jobId)).toEqual([10]);
  expect((await eventTypes(store, lease.jobId)).slice(-2)).toEqual(["checkpoint_committed", "succeeded"]);
  // The state that the second one replaced is dropped and expires.
  expect(await redis.keys("*:chunk:*")).toHaveLength(3);
});

test("a script that carries files is refused while Redis is full, and changes nothing", async () => {
  const lease = await acquire(store, await postJob(store, { room: room(MiB) }));
  const ending = await endingOf(lease, "store");
  const before = [await counted(lease.jobId), await usage()];
  await redis.config("SET", "maxmemory", 1);
  try {
    const refused = lease.finish(ending, [row(10)]).catch((error: unknown) => error);
    expect(await refused).toBeInstanceOf(Unavailable);
    expect(await refused).toMatchObject({ full: true });
  } finally {
    await redis.config("SET", "maxmemory", 0);
  }
  expect([await counted(lease.jobId), await usage()]).toEqual(before);
  expect((await store.jobs.get(OWNER, lease.jobId))!.status).toBe("running");
  await lease.finish(ending, [row(10)]);
  expect((await store.jobs.get(OWNER, lease.jobId))!.status).toBe("succeeded");
});

test("a file that is not small is uploaded before", async () => {
  const lease = await acquire(store, await postJob(store, { room: room(MiB) }));
  await lease.store(Buffer.alloc(CARRIED_BYTES), "final");
  expect(await redis.keys("*:chunk:*")).toEqual([]);
  await lease.store(Buffer.alloc(CARRIED_BYTES + 1), "final");
  expect(await redis.keys("*:chunk:*")).toHaveLength(1);
  lease.carries = false;
  await lease.store(bytes, "state");
  expect(await redis.keys("*:chunk:*")).toHaveLength(2);
});
