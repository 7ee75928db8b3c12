/** A table whose categorical columns have learned vectors, from the upload to the model file. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { readSafetensors } from "../../src/engine/state/safetensors.ts";
import type { Job } from "../../src/contract/wire/job.ts";
import { ended, startProcess, type WorkerProcess } from "../worker/support.ts";
import { startService, type Service } from "./service.ts";

let service: Service;
let worker: WorkerProcess;
let dataset: string;
let rows: { city: string | null; zip: number; x: number; label: string }[];

beforeAll(async () => {
  service = await startService();
  const cities = ["Ulm", "Bonn", "Jena", "Kiel", "Trier", "Worms", "Hof"];
  rows = Array.from({ length: 90 }, (_, i) => {
    const city = i % 17 === 0 ? null : cities[(i * i) % 7];
    return { city, zip: 10_000 + (i % 5), x: Math.sin(i), label: i % 3 === 0 ? "low" : "high" };
  });
  const lines = rows.map(({ city, zip, x, label }) => [city ?? "", zip, x, label].join(","));
  dataset = (await service.upload(["city,zip,x,label", ...lines].join("\n"))).id;
  worker = await startProcess({ REDIS_URL: service.redis.url, DATA_DIR: service.directory });
});
afterAll(async () => {
  worker.kill("SIGKILL");
  await worker.exited;
  await service.stop();
});

const specOf = (layers: object[], data: object = {}, more: object = {}) => ({
  data: {
    dataset,
    target: "label",
    columns: { zip: "categorical" },
    preprocess: { missing: "mean", missing_indicator: true },
    validation: { every: 4 },
    ...data,
  },
  model: { layers },
  loss: { type: "cross_entropy" },
  optimizer: { type: "adamw", lr: 0.01 },
  training: { epochs: 4, batch_size: 16, seed: 3 },
  ...more,
});

const embedded = [
  { type: "column_embedding", embedding_dim: { city: 5 } },
  { type: "linear", out_features: 8 },
  { type: "relu" },
  { type: "linear" },
];

async function until(id: string): Promise<Job> {
  for (;;) {
    const job = (await service.call("GET", `/v1/jobs/${id}`)).body as Job;
    if (ended(job)) return job;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function trained(spec: object): Promise<Job> {
  const job = await until((await service.create(spec)).id);
  expect([job.status, job.error]).toEqual(["succeeded", null]);
  return job;
}

test("a job has the same bytes on any threads and from any checkpoint, and says how to encode rows", async () => {
  const checkpoint = { every_steps: 7, every_seconds: null, keep_after_end: true };
  const job = await trained(specOf(embedded, {}, { checkpoint }));
  const sha256 = job.result!.weights_sha256;
  const threads = await trained(specOf(embedded, {}, { resources: { threads: 3 } }));
  expect(threads.result!.weights_sha256).toBe(sha256);
  const fork = await service.call("POST", `/v1/jobs/${job.id}/fork`, { body: { step: 7 } });
  expect((await until((fork.body as Job).id)).result!.weights_sha256).toBe(sha256);

  const { body: description } = await service.call("GET", `/v1/jobs/${job.id}/model/description`);
  expect(description.named_inputs).toEqual([
    { name: "numbers", shape: [2], type: "float32", encoders: 2 },
    { name: "categories", shape: [2], type: "int32", categories: [5, 6], encoders: 2 },
  ]);
  expect(description.inputs).toMatchObject([
    { column: "city", type: "missing_indicator" },
    { column: "x", type: "numeric" },
    { column: "city", type: "categorical", classes: ["Bonn", "Jena", "Trier", "Ulm"] },
    { column: "zip", type: "categorical", classes: ["10000", "10001", "10002", "10003", "10004"] },
  ]);
  expect(description.layers[0].parameters).toEqual({ "0.weight": [5, 5], "1.weight": [6, 3] });

  const { body: file } = await service.call("GET", `/v1/jobs/${job.id}/model`);
  const { tensors } = readSafetensors(new Uint8Array(file as Buffer));
  const names = [...tensors.keys()];
  expect(names).toEqual(["0.0.weight", "0.1.weight", "1.bias", "1.weight", "3.bias", "3.weight"]);
  await expectForks(job.id);
  await expectPredictions(job);
  const vectors = tensors.get("0.0.weight")!.bytes;
  const numbers = new Float32Array(vectors.slice().buffer);
  // The vector of a missing city.
  expect([...numbers.subarray(0, 5)]).toEqual([0, 0, 0, 0, 0]);
  expect(numbers.subarray(5).every((value) => value !== 0)).toBe(true);
});

/** Forks onto other data keep the codes of the classes. */
async function expectForks(parent: string): Promise<void> {
  const rows = Array.from({ length: 24 }, (_, i) => `${["Ulm", "Graz"][i % 2]},10001,${i},${i % 3 ? "high" : "low"}`);
  const { id: other } = await service.upload(["city,zip,x,label", ...rows].join("\n"));
  const forked = async (overrides: object) =>
    await service.call("POST", `/v1/jobs/${parent}/fork`, { body: { step: 7, overrides } });
  const data = { dataset: other, unseen: "zeros" };
  const { status, body } = await forked({ data });
  expect([status, body.errors]).toEqual([201, undefined]);
  const fork = await until(body.id);
  expect([fork.status, fork.error]).toEqual(["succeeded", null]);
  const { body: description } = await service.call("GET", `/v1/jobs/${fork.id}/model/description`);
  expect(description.inputs[2].classes).toEqual(["Bonn", "Jena", "Trier", "Ulm"]);
  const refused = await forked({ data, model: { layers: [{ type: "linear" }] } });
  expect(refused.body.errors).toContainEqual({
    pointer: "/overrides/data/encoders",
    message: expect.stringContaining("give classes and numbers apart, and the model takes one input"),
  });
}

/** The rows that validate give the metrics of the job; a missing class is read like any cell. */
async function expectPredictions({ id, result }: Job): Promise<void> {
  const ask = (asked: object) => service.call("POST", `/v1/jobs/${id}/predict`, { body: asked });
  const valid = rows.filter((_, i) => i % 4 === 0);
  const { body } = await ask({ rows: valid });
  const right = valid.filter(({ label }, i) => body.predictions[i].class === label);
  expect(right.length / valid.length).toBeCloseTo(result!.metrics.valid_accuracy!, 12);
  const refused = await ask({
    rows: [
      { zip: 10_001, x: 0 },
      { city: "Graz", zip: 10_001, x: 0 },
    ],
  });
  expect(refused.body.errors.map(({ pointer }: { pointer: string }) => pointer)).toEqual([
    "/rows/0/city",
    "/rows/1/city",
  ]);
  const { body: nested } = await ask({ inputs: [[1, 2]] });
  expect(nested.errors).toContainEqual({ pointer: "/inputs", message: expect.stringContaining("send rows") });
}

test("other layers take the inputs by name", async () => {
  const scaled = [
    { type: "batch_norm1d", name: "scaled", inputs: ["numbers"] },
    { type: "column_embedding", name: "vectors", inputs: ["categories", "scaled"] },
    { type: "concat", inputs: ["vectors", "numbers"] },
    { type: "linear" },
  ];
  const { body } = await service.call("POST", "/v1/jobs?validate_only=true", { body: specOf(scaled) });
  expect([body.errors, body.spec?.model.layers[3].in_features]).toEqual([undefined, 2 + 3 + 2 + 2]);
});

test("what does not fit is a 422 with a remedy", async () => {
  const errorsOf = async (layers: object[], data: object = {}) => {
    const { status, body } = await service.call("POST", "/v1/jobs?validate_only=true", { body: specOf(layers, data) });
    expect(status).toBe(422);
    return body.errors.map(({ pointer, message }: { pointer: string; message: string }) => `${pointer} ${message}`);
  };
  const last = { type: "linear" };
  expect(await errorsOf([{ type: "relu" }, { type: "column_embedding" }, last])).toEqual([
    expect.stringMatching(/^\/model\/layers\/1 takes categories and numbers of the data, .* put it first/),
  ]);
  expect(await errorsOf([{ type: "column_embedding", embedding_dim: { town: 3 } }, last])).toEqual([
    expect.stringMatching(/^\/model\/layers\/0\/embedding_dim names "town", .* they are "city", "zip"/),
  ]);
  expect(await errorsOf([{ type: "column_embedding", embedding_dim: { city: 0 } }, last])).toEqual([
    "/model/layers/0/embedding_dim/city must be at least 1",
  ]);
  expect(await errorsOf([{ type: "column_embedding", embedding_dim: "large" }, last])).toEqual([
    expect.stringMatching(/^\/model\/layers\/0\/embedding_dim must be an integer, or an object of integers/),
  ]);
  expect(await errorsOf([{ type: "column_embedding" }, last], { features: ["x"] })).toEqual([
    expect.stringMatching(/^\/data\/features must have a categorical column/),
  ]);
  const synthetic = { dataset: undefined, synthetic: { type: "two_moons", rows: 50 }, target: "target", columns: {} };
  expect(await errorsOf([{ type: "column_embedding" }, last], synthetic)).toEqual([
    expect.stringMatching(/^\/data\/features must have a categorical column/),
  ]);
});
