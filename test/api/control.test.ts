import type { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Dataset } from "../../src/contract/wire/dataset.ts";
import type { JobStatus } from "../../src/contract/wire/job.ts";
import type { Lease } from "../../src/store/lease.ts";
import { acquire, checkpoint, eventTypes, lapse, progressAt } from "../store/support.ts";
import { csv, specFor, startService, type Service } from "./service.ts";

let service: Service;
let redis: Redis;
let dataset: Dataset;
beforeAll(async () => {
  service = await startService();
  redis = service.redis.client();
  dataset = await service.upload(csv);
});
afterAll(() => service.stop());

async function create(headers: Record<string, string> = {}): Promise<string> {
  return (await service.create(specFor(dataset.id), headers)).id;
}

const finish = (lease: Lease, status: "succeeded" | "failed") =>
  lease.finish({ status, progress: progressAt(3), events: [] }, []);

/** A job in each status there is, as it gets there. */
const jobIn: Record<JobStatus, () => Promise<string>> = {
  queued: create,
  async running() {
    const id = await create();
    await acquire(service.store, id);
    return id;
  },
  async pausing() {
    const id = await jobIn.running();
    await service.call("POST", `/v1/jobs/${id}/pause`);
    return id;
  },
  async paused() {
    const id = await create();
    await service.call("POST", `/v1/jobs/${id}/pause`);
    return id;
  },
  async cancelling() {
    const id = await jobIn.running();
    await service.call("POST", `/v1/jobs/${id}/cancel`);
    return id;
  },
  async succeeded() {
    const id = await create();
    await finish(await acquire(service.store, id), "succeeded");
    return id;
  },
  async failed() {
    const id = await create();
    await finish(await acquire(service.store, id), "failed");
    return id;
  },
  async cancelled() {
    const id = await create();
    await service.call("POST", `/v1/jobs/${id}/cancel`);
    return id;
  },
};

/** What becomes of a job in each status; what is not listed is a 409. */
const arrows: Record<string, Partial<Record<JobStatus, [number, JobStatus | "gone"]>>> = {
  pause: { queued: [202, "paused"], running: [202, "pausing"], pausing: [202, "pausing"] },
  resume: { paused: [202, "queued"] },
  cancel: {
    queued: [202, "cancelled"],
    running: [202, "cancelling"],
    pausing: [202, "cancelling"],
    paused: [202, "cancelled"],
    cancelling: [202, "cancelling"],
    cancelled: [200, "cancelled"],
  },
  delete: { succeeded: [204, "gone"], failed: [204, "gone"], cancelled: [204, "gone"] },
};

describe.each(Object.keys(arrows))("%s", (action) => {
  const act = (id: string) =>
    action === "delete" ? service.call("DELETE", `/v1/jobs/${id}`) : service.call("POST", `/v1/jobs/${id}/${action}`);

  test.each(Object.keys(jobIn) as JobStatus[])("of a job that is %s", async (status) => {
    const id = await jobIn[status]();
    expect((await service.store.jobs.get("default", id))!.status).toBe(status);
    const response = await act(id);
    const after = await service.call("GET", `/v1/jobs/${id}`);
    const [code, becomes] = arrows[action][status] ?? [409, status];
    expect(response.status).toBe(code);
    if (becomes === "gone") return expect([after.status, after.body.code]).toEqual([404, "not_found"]);
    expect(after.body.status).toBe(becomes);
    if (code === 409) {
      expect(response.body).toMatchObject({ code: "wrong_status", current_status: status });
      expect(response.body.detail).toMatch(
        new RegExp(`^.*(cancelled|paused|resumed|deleted).*; this one is ${status}\\.$`),
      );
    } else expect(response.body).toEqual(after.body);
  });

  test("of a job that does not exist", async () => {
    for (const id of ["job_01k3w9d0c8v6m2q4r7t5x1y9za", "x"]) {
      const { status, body } = await act(id);
      expect([status, body.code]).toEqual([404, "not_found"]);
    }
  });
});

test("a pause at the end of a job is too late", async () => {
  for (const status of ["succeeded", "failed"] as const) {
    const id = await create();
    const lease = await acquire(service.store, id);
    await service.call("POST", `/v1/jobs/${id}/pause`);
    expect(await lease.renew(5000)).toBe("pausing");
    await finish(lease, status);
    expect((await service.call("GET", `/v1/jobs/${id}`)).body.status).toBe(status);
  }
});

test("a job whose run is gone is paused at once", async () => {
  const id = await jobIn.running();
  await lapse(redis, id);
  const { status, body } = await service.call("POST", `/v1/jobs/${id}/pause`);
  expect([status, body.status]).toEqual([202, "paused"]);
  expect(await eventTypes(service.store, id)).toEqual(["created", "started", "pausing", "paused"]);
});

test("while jobs wait, one wake-up is in the queue, however many they are", async () => {
  const id = await create();
  await create();
  expect(await redis.llen("{rappel}:deliveries:wait")).toBe(1);
  await service.call("POST", `/v1/jobs/${id}/pause`);
  await redis.del("{rappel}:deliveries:wait");
  await service.call("POST", `/v1/jobs/${id}/resume`);
  expect(await redis.llen("{rappel}:deliveries:wait")).toBe(1);
});

test("a deleted job leaves no key behind, and its idempotency key can be used again", async () => {
  const headers = { "idempotency-key": "once" };
  const id = await create(headers);
  const lease = await acquire(service.store, id);
  await lease.report(1, progressAt(2), [], [{ step: 1, train_loss: 1 }]);
  for (const step of [1, 2, 3]) await checkpoint(lease, step, { bytes: Buffer.alloc(5 * 2 ** 20), keepLast: 1 });
  const model = { ...(await lease.upload(Buffer.from("weights"), "final"))!, sha256: "5".repeat(64) };
  await lease.upload(Buffer.from("never committed"));
  await lease.finish({ status: "succeeded", progress: progressAt(3), models: { final: model }, events: [] }, []);
  const other = await jobIn.running();
  await checkpoint(await acquire(service.store, await create()), 1);

  expect((await service.call("DELETE", `/v1/jobs/${id}`)).status).toBe(204);
  expect(await redis.keys(`*${id}*`)).toEqual([]);
  for (const key of await redis.keys("*")) {
    expect(await members(key), key).not.toContainEqual(expect.stringContaining(id));
  }
  expect((await service.call("GET", `/v1/jobs/${other}`)).status).toBe(200);
  expect(await create(headers)).not.toBe(id);
});

test("deleting a job does not delete an idempotency key that now belongs to another job", async () => {
  const headers = { "idempotency-key": "expired" };
  const first = await create(headers);
  await service.call("POST", `/v1/jobs/${first}/cancel`);
  for (const key of await redis.keys("*:idempotency:*")) {
    if ((await redis.hget(key, "job")) === first) await redis.del(key);
  }
  const second = await create(headers);
  await service.call("DELETE", `/v1/jobs/${first}`);
  expect(await create(headers)).toBe(second);
});

/** All that a key holds, as text. */
async function members(key: string): Promise<string[]> {
  switch (await redis.type(key)) {
    case "hash":
      return Object.entries(await redis.hgetall(key)).flat();
    case "zset":
      return await redis.zrange(key, 0, "-1");
    case "set":
      return await redis.smembers(key);
    case "list":
      return await redis.lrange(key, 0, -1);
    default:
      return [];
  }
}

test.each([-1, 11, 1.5, "high", null])("the priority %s is refused", async (priority) => {
  const body = specFor(dataset.id, { resources: { priority } });
  const response = await service.call("POST", "/v1/jobs", { body });
  expect([response.status, response.body.errors[0].pointer]).toEqual([422, "/resources/priority"]);
});

test.each([
  ["application/x-www-form-urlencoded", ""],
  ["application/json", "{"],
  ["text/plain", "please"],
  ["application/json", `"${"x".repeat(2 ** 22)}"`],
  ["no type at all", "please"],
])("what wants no body does not mind one of %s", async (type, body) => {
  const headers = { "content-type": type, "content-encoding": "gzip" };
  const id = await create();
  for (const action of ["pause", "resume", "cancel"]) {
    const response = await service.call("POST", `/v1/jobs/${id}/${action}`, { headers, body });
    expect([action, response.status]).toEqual([action, 202]);
  }
  expect((await service.call("DELETE", `/v1/jobs/${id}`, { headers, body })).status).toBe(204);
});
