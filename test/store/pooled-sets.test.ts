// Sets that train a pooled model first (lua/shared/set.lua).
import { expect, test } from "vitest";
import type { JobResult } from "../../src/contract/wire/job.ts";
import type { NewSet } from "../../src/contract/resolve/model-set.ts";
import type { ModelRecord } from "../../src/store/models.ts";
import type { Lease } from "../../src/store/lease.ts";
import { isShard } from "../../src/store/sets.ts";
import { acquire, checkpoint, claim, eventTypes, lapse, newJob, OWNER, sha256, tryClaim } from "./support.ts";
import { redis, setUpStore, store } from "./setup.ts";

setUpStore();

/** A set of two shards whose pooled model has 50 steps. */
async function postSet(): Promise<string> {
  const spec = { ...newJob().spec, name: "pooled" };
  const sizes = { totalSteps: 50, stateBytes: 100, workMs: 1000, memoryBytes: 2 ** 20 };
  const pooled = { ...sizes, spec } as unknown as NewSet["pooled"];
  const set = { models: 20, shardModels: 10, pooled, workMs: 400, memoryBytes: 2 ** 20 };
  const job = newJob({ totalSteps: 20, set });
  expect((await store.jobs.create(job)).outcome).toBe("created");
  return job.id;
}

const job = async (id: string) => (await store.jobs.get(OWNER, id))!;

async function end(lease: Lease): Promise<void> {
  const bytes = Buffer.from("weights");
  const final = { ...(await lease.upload(bytes, "final"))!, sha256: sha256(bytes) };
  const result = { weights_sha256: final.sha256, steps: 50, metrics: {} } as unknown as JobResult;
  const model = { layers: [] } as unknown as ModelRecord;
  const event = { type: "pooled" as const, message: "Trained.", step: 50, data: null };
  await lease.finish({ status: "succeeded", result, model, models: { final }, progress: null, events: [event] }, []);
}

const total = 20;

test("the pooled model is trained as a job, and the shards follow", async () => {
  const id = await postSet();
  expect(await job(id)).toMatchObject({ status: "queued", models: { total }, progress: { total_steps: 50 } });
  const { lease } = await claim(store);
  expect(lease.jobId).toBe(id);
  expect((await tryClaim(store)).outcome).toBe("nothing");
  expect(await lease.work()).toMatchObject({ isPooled: true, totalSteps: 50, spec: { name: "pooled" } });
  expect(await store.sets.pooled(OWNER, id)).toBeNull();
  await end(lease);
  // The answer was lost.
  await end(lease).catch(() => undefined);
  expect(await job(id)).toMatchObject({ status: "running", result: null, models: { total, ended: 0 } });
  expect((await job(id)).progress).toMatchObject({ step: 0, total_steps: total, last_checkpoint_step: null });
  expect((await store.sets.pooled(OWNER, id))!.weights_sha256).toBe(sha256(Buffer.from("weights")));
  expect((await store.jobs.model(OWNER, id, "final"))!.bytes.toString()).toBe("weights");
  const shards = [await claim(store), await claim(store)].map(({ lease: { jobId } }) => jobId);
  expect(shards.every(isShard)).toBe(true);
  expect(await eventTypes(store, id)).toEqual(["created", "started", "pooled"]);
});

test("a run of it that dies is followed by one from its checkpoint", async () => {
  const id = await postSet();
  const dying = (await claim(store)).lease;
  await checkpoint(dying, 30);
  await lapse(redis, id);
  const next = await acquire(store, id);
  expect((await next.work()).checkpoint!.step).toBe(30);
  await expect(end(dying)).rejects.toThrow();
  await end(next);
  expect(await store.jobs.checkpoints(OWNER, id, { limit: 10 })).toMatchObject({ data: [] });
  expect((await claim(store)).lease.jobId).toBe(`${id}.0`);
});

test("it is paused in the middle, and goes on there", async () => {
  const id = await postSet();
  const { lease } = await claim(store);
  expect((await store.jobs.pause(OWNER, id))!.outcome).toBe("pausing");
  await checkpoint(lease, 10);
  await lease.release({ type: "requeued", message: "Stopped.", step: 10, data: null });
  expect(await job(id)).toMatchObject({ status: "paused", models: { total, ended: 0 } });
  await store.jobs.resume(OWNER, id);
  const next = (await claim(store)).lease;
  expect(next.jobId).toBe(id);
  expect((await next.work()).checkpoint!.step).toBe(10);
});

test.each([
  ["pause", "paused"],
  ["cancel", "cancelled"],
] as const)("a %s that comes when it has just ended keeps the shards closed", async (what, status) => {
  const id = await postSet();
  const { lease } = await claim(store);
  await store.jobs[what](OWNER, id);
  await end(lease);
  expect((await job(id)).status).toBe(status);
  expect((await tryClaim(store)).outcome).toBe("nothing");
  if (what === "cancel") return;
  await store.jobs.resume(OWNER, id);
  expect((await claim(store)).lease.jobId).toBe(`${id}.0`);
});

test("the set fails with it, and leaves nothing", async () => {
  const id = await postSet();
  const { lease } = await claim(store);
  const error = { code: "diverged" as const, message: "It diverged.", suggestion: null, step: 3 };
  await lease.finish({ status: "failed", error, progress: null, events: [] }, []);
  expect(await job(id)).toMatchObject({ status: "failed", error, models: { total, ended: 0 } });
  expect((await store.jobs.remove(OWNER, id))!.outcome).toBe("removed");
  expect((await tryClaim(store)).outcome).toBe("nothing");
});
