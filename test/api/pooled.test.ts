/** A set whose models begin with the weights of one model of all rows. */
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { Job } from "../../src/contract/wire/job.ts";
import type { ModelDescription } from "../../src/contract/wire/model.ts";
import type { SetModelDetails } from "../../src/contract/wire/model-set.ts";
import { unlessLost } from "../../src/api/set-models.ts";
import { DamagedFile } from "../../src/data/files/disk.ts";
import type { SetEnds } from "../../src/set-ends.ts";
import { ended, sha256, startProcess, type WorkerProcess } from "../worker/support.ts";
import { openSetEnds, specFor, startService, type Service } from "./service.ts";

let service: Service;
let setEnds: SetEnds;
let dataset: string;
const workers: WorkerProcess[] = [];

const rows = Array.from({ length: 160 }, (_, i) => {
  const store = ["a", "b", "b", "c", "c", "c", ""][i % 7];
  return [store, Math.sin(i), ["Oslo", "Rome", "Bern"][i % 3], ["cat", "dog"][(i >> 1) % 2], i % 5 === 0 ? 1 : 0];
});
const csv = [["store", "x", "city", "label", "held"], ...rows].map((row) => row.join(",")).join("\n");

beforeAll(async () => {
  service = await startService();
  setEnds = openSetEnds(service);
  dataset = (await service.upload(csv)).id;
});

afterEach(async () => {
  for (const worker of workers.splice(0)) {
    worker.kill("SIGKILL");
    await worker.exited;
  }
});

afterAll(async () => {
  await setEnds.close();
  await service.stop();
});

async function work(environment: Record<string, string> = {}): Promise<WorkerProcess> {
  const worker = await startProcess({ REDIS_URL: service.redis.url, DATA_DIR: service.directory, ...environment });
  workers.push(worker);
  return worker;
}

async function read<T>(path: string): Promise<T> {
  const { status, body, text } = await service.call("GET", path);
  if (status !== 200) throw new Error(text);
  return body as T;
}

async function until(id: string, done: (job: Job) => boolean): Promise<Job> {
  for (;;) {
    const job = await read<Job>(`/v1/jobs/${id}`);
    if (done(job)) return job;
  }
}

async function trained(spec: unknown): Promise<Job> {
  const { id } = await service.create(spec);
  return await until(id, ended);
}

const data = { target: "label", features: ["x", "city"], validation: { column: "held" } };
const training = { epochs: 3, batch_size: 4, seed: 3 };

function setOf(changes: Record<string, object> = {}) {
  return specFor(dataset, {
    optimizer: { type: "adam", lr: 0.01 },
    ...changes,
    data: { ...data, dataset, partition_by: "store", encoders: "shared", ...changes.data },
    training: { ...training, seeds: 2, pooled: true, ...changes.training },
    init: "pooled",
  });
}

test("the pooled model and each model that begins with it are plain jobs", async () => {
  await work();
  const set = await trained(setOf());
  expect(set).toMatchObject({ status: "succeeded", models: { total: 6, succeeded: 6 }, spec: { init: "pooled" } });
  expect(set.progress).toMatchObject({ step: 6, total_steps: 6, last_checkpoint_step: null });
  const { features: _, ...taking } = { ...data, dataset, encoders: { job: set.id } };
  const optimizer = { type: "adam", lr: 0.01 };
  const all = await trained(specFor(dataset, { optimizer, data: taking, training }));
  const pooled = await read<ModelDescription>(`/v1/jobs/${set.id}/models/pooled`);
  const plain = await read<ModelDescription>(`/v1/jobs/${all.id}/model/description`);
  const { job_id: _id, spec_sha256: _spec, ...description } = plain;
  expect(pooled).toMatchObject(description);
  const file = await service.call("GET", `/v1/jobs/${set.id}/models/pooled/model`);
  expect(sha256(file.body as Buffer)).toBe(all.result!.weights_sha256);
  for (const number of [0, 3, 5]) {
    const model = await read<SetModelDetails>(`/v1/jobs/${set.id}/models/${number}`);
    const { fold: _fold, seed, ...where } = model.key;
    const one = await trained(
      specFor(dataset, {
        optimizer,
        data: { ...taking, where },
        training: { ...training, seed: training.seed + Number(seed) },
        init: { job: all.id },
      }),
    );
    expect([one.result!.weights_sha256, one.result!.metrics]).toEqual([model.weights_sha256, model.metrics]);
    expect(model.weights_sha256).not.toBe(all.result!.weights_sha256);
  }
  const types = (await read<{ data: { type: string }[] }>(`/v1/jobs/${set.id}/events`)).data.map(({ type }) => type);
  expect(types.filter((type) => ["started", "pooled", "succeeded"].includes(type))).toEqual([
    "started",
    "pooled",
    "succeeded",
  ]);
});

test.each(["before-final-commit", "after-final-commit"])(
  "a set whose worker dies at %s of its pooled model, and that is paused then, has the same models",
  async (point) => {
    const dying = await work({ RAPPEL_CRASH_AT: point });
    const { id } = await service.create(setOf());
    await dying.exited;
    await service.call("POST", `/v1/jobs/${id}/pause`);
    // They find the dead run, and end the pause that it cannot.
    await Promise.all([work(), work()]);
    const paused = await until(id, ({ status }) => status === "paused");
    const isTrained = point === "after-final-commit";
    expect(paused).toMatchObject({ models: { total: 6, ended: 0 }, progress: { total_steps: isTrained ? 6 : 96 } });
    expect((await service.call("GET", `/v1/jobs/${id}/models/pooled`)).status).toBe(isTrained ? 200 : 409);
    await service.call("POST", `/v1/jobs/${id}/resume`);
    const set = await until(id, ended);
    expect(set.result!.weights_sha256).toBe((await trained(setOf())).result!.weights_sha256);
    expect(set.models).toMatchObject({ total: 6, ended: 6, succeeded: 6, failed: 0, skipped: 0 });
  },
);

test("a set is cancelled while its pooled model is trained", async () => {
  await work();
  const { id } = await service.create(setOf({ training: { epochs: 100_000 } }));
  await until(id, ({ progress }) => progress.step > 0);
  await service.call("POST", `/v1/jobs/${id}/cancel`);
  expect(await until(id, ended)).toMatchObject({ status: "cancelled", models: { total: 6, ended: 0 }, result: null });
  expect((await service.call("DELETE", `/v1/jobs/${id}`)).status).toBe(204);
});

test("a set fails with its pooled model", async () => {
  await work();
  const wild = setOf({ optimizer: { type: "sgd", lr: 1e30 } });
  const set = await trained(wild);
  expect(set).toMatchObject({ status: "failed", error: { code: "diverged" }, models: { total: 6, ended: 0 } });
  expect((await service.call("GET", `/v1/jobs/${set.id}/models/pooled`)).status).toBe(409);
});

test.each([
  [{ training: { ...training, pooled: true } }, "/training/pooled", "partition_by"],
  [{ data: { partition_by: "store" }, init: "pooled" }, "/init", "/training"],
  [{ data: { partition_by: "store" }, training: { ...training, pooled: true } }, "/data/encoders", '"shared"'],
  [{ init: "pooled" }, "/init", "/training"],
])("told at POST: %j", async ({ data: changes = {}, ...rest }: Record<string, unknown>, pointer, message) => {
  const spec = specFor(dataset, { training, ...rest, data: { ...data, dataset, ...(changes as object) } });
  const { status, body } = await service.call("POST", "/v1/jobs", { body: spec });
  expect([status, body.errors]).toEqual([422, [{ pointer, message: expect.stringContaining(message) as string }]]);
});

test("a set takes no other weights to begin with", async () => {
  const spec = specFor(dataset, { training, data: { ...data, dataset, partition_by: "store" } });
  const init = { weights: `w_${"0".repeat(26)}` };
  const { status, body } = await service.call("POST", "/v1/jobs", { body: { ...spec, init } });
  expect(status).toBe(422);
  expect(body.errors).toContainEqual({ pointer: "/init", message: expect.stringContaining("pooled") as string });
});

test("told where the pooled model knows rows that a model holds back", async () => {
  const codes = async (validation: unknown) => {
    const { warnings } = await service.create(setOf({ data: { validation } as object }));
    return warnings.map(({ code, pointer }) => [code, pointer]);
  };
  expect(await codes({ fraction: 0.2 })).toEqual([["pooled_rows", "/init"]]);
  expect(await codes({ column: "held" })).toEqual([]);
  expect(await codes(null)).toEqual([]);
});

test("what is read of a set that is deleted meanwhile is not found, and not damaged", async () => {
  const gone = `job_${"0".repeat(26)}`;
  const read = () => Promise.reject(new DamagedFile("The file of a shard is missing.", "0.result"));
  await expect(unlessLost(service.store, "default", gone, read)).rejects.toMatchObject({ code: "not_found" });
});
