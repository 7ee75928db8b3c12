// An owner sees nothing of another's, on any route that openapi.yaml has: what is someone else's is
// as unknown as what never was.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse } from "yaml";
import { apiKey } from "../../src/secrets.ts";
import type { Lease } from "../../src/store/lease.ts";
import { ShardWriter } from "../../src/sets/shard-file.ts";
import { summarize } from "../../src/sets/summary.ts";
import { indexId, shardId } from "../../src/store/sets.ts";
import { floats, safetensors } from "../data/tensors/files.ts";
import { acquire, checkpoint } from "../store/support.ts";
import { csv, specFor, startService, type Service } from "./service.ts";

type Method = "GET" | "POST" | "PUT" | "DELETE";

const { paths } = parse(readFileSync(new URL("../../openapi.yaml", import.meta.url), "utf8")) as {
  paths: Record<string, Record<string, { requestBody?: unknown }>>;
};
const routes = Object.entries(paths).flatMap(([path, methods]) =>
  Object.keys(methods).map((method) => ({ method: method.toUpperCase() as Method, path })),
);
const ofOne = routes.filter(({ path }) => path.includes("{id}"));
const lists = ["/v1/jobs", "/v1/datasets", "/v1/weights", "/v1/studies"];

let service: Service;
let dataset: string;
let weights: string;
let study: string;
/** One that ended and has all there can be, one that waits. */
let ended: string;
let waiting: string;
/** A set of models that has ended. */
let set: string;
/** A set whose pooled model is trained. */
let pooled: string;
/** With the model of the one that ended. */
let predicted: string;
const ann = { authorization: "Bearer a" };
const bob = { authorization: "Bearer b" };

beforeAll(async () => {
  service = await startService({ apiKeys: [apiKey("ann", "a"), apiKey("bob", "b")] });
  dataset = (await service.upload(csv, ann)).id;
  const file = safetensors({ a: { dtype: "F32", shape: [1], data: floats(1) } });
  weights = (await service.call("POST", "/v1/weights", { headers: ann, body: file })).body.id;
  ended = (await service.create(specFor(dataset, { name: "ended" }), ann)).id;
  const lease = await acquire(service.store, ended, { owner: "ann", leaseMs: 60_000 });
  await succeed(lease);
  predicted = await predict();
  set = await endedSet();
  pooled = await pooledSet();
  const space = { "/optimizer/lr": { uniform: [0.1, 0.2] } };
  const asked = { spec: specFor(dataset), space, trials: 1 };
  study = (await service.call("POST", "/v1/studies", { body: asked, headers: ann })).body.id;
  waiting = (await service.create(specFor(dataset), { ...ann, "idempotency-key": "k" })).id;
});
afterAll(() => service.stop());

async function succeed(lease: Lease): Promise<void> {
  await checkpoint(lease, 1);
  const weights = Buffer.from("weights");
  const sha256 = createHash("sha256").update(weights).digest("hex");
  const result = {
    weights_sha256: sha256,
    steps: 1,
    epochs: 1,
    stop_reason: "completed" as const,
    metrics: {},
    best: null,
    changes: [],
  };
  const target = { column: "label", task: "classification" as const, classes: ["a"], mean: null, std: null };
  const final = { ...(await lease.upload(weights))!, sha256 };
  const evaluation = { valid: { targets: 1, classes: null, values: null }, test: null };
  const model = { layers: [], inputs: [], target, evaluation };
  await lease.finish({ status: "succeeded", result, model, models: { final }, progress: null, events: [] }, []);
}

/** A set of two models, of which one succeeded. */
async function endedSet(): Promise<string> {
  const training = { epochs: 1, batch_size: 4, seeds: 2 };
  const { id } = await service.create(specFor(dataset, { training }), ann);
  const lease = await acquire(service.store, shardId(id, 0), { owner: "ann", leaseMs: 60_000 });
  const path = (file: string) => join(service.directory, `${file}.result`);
  const writer = await ShardWriter.create(path(shardId(id, 0)), 0);
  const weights_sha256 = createHash("sha256").update("weights").digest("hex");
  const ended = { steps: 1, epochs: 1, stop_reason: "completed" as const, metrics: {}, best: null, weights_sha256 };
  const entry = { key: {}, fold: 0, rows: 20, error: null };
  const encoding = { inputs: [{ name: "x", shape: [1], type: "float32" as const, encoders: [] }] };
  const target = { column: "label", task: "classification" as const, classes: ["a"], mean: null, std: null };
  const file = safetensors({ w: { dtype: "F32", shape: [1], data: floats(1) } });
  const models = [{ bytes: new Uint8Array(file), sha256: weights_sha256 }];
  const kept = { layers: [], encoding: { ...encoding, target }, models };
  writer.add({ ...entry, ...ended, number: 0, seed: 0, status: "succeeded" }, kept);
  writer.add({ ...entry, ...ended, number: 1, seed: 1, status: "skipped" }, null);
  const { bytes } = await writer.end();
  await writer.close();
  const counts = { succeeded: 1, failed: 0, skipped: 1 };
  await lease.finish(
    { status: "succeeded", result: { ...counts, bytes, metrics: {} }, progress: null, events: [] },
    [],
  );
  const shards = [path(shardId(id, 0))];
  const { weights_sha256: all, steps, metrics } = await summarize({ shards, index: path(indexId(id)) });
  const result = { weights_sha256: all, steps, epochs: 1, stop_reason: "completed" as const, metrics };
  const whole = { ...result, best: null, changes: [] };
  expect(await service.store.sets.conclude({ owner: "ann", id }, whole, counts, bytes)).toBe(true);
  return id;
}

async function pooledSet(): Promise<string> {
  const training = { epochs: 1, batch_size: 4, pooled: true };
  const data = { dataset, target: "label", partition_by: "colour", encoders: "shared" };
  const { id } = await service.create(specFor(dataset, { data, training }), ann);
  await succeed(await acquire(service.store, id, { owner: "ann", leaseMs: 60_000 }));
  return id;
}

/** A prediction over the dataset that has ended, and its result. */
async function predict(): Promise<string> {
  const id = `pred_${await service.store.newUlid()}`;
  const asked = {
    job_id: ended,
    datasets: [dataset],
    idempotency: null,
    split: null,
    which: "final" as const,
    fold: null,
    seed: null,
    unseen: "error" as const,
    trace: null,
  };
  const sizes = { rows: 1, resultBytes: 100, weights_sha256: "0".repeat(64) };
  const { outcome } = await service.store.predictions.create({ id, owner: "ann", ...asked, ...sizes });
  expect(outcome).toBe("created");
  const lease = await acquire(service.store, id, { owner: "ann", leaseMs: 60_000 });
  const csv = "value\n1\n";
  writeFileSync(join(service.directory, `${id}.result`), csv);
  const result = { sha256: createHash("sha256").update(csv).digest("hex"), bytes: csv.length, rows: 1 };
  await lease.finish({ status: "succeeded", result, progress: null, events: [] }, []);
  return id;
}

/**
 * The route with ids in it that its owner can use: what is read is there, what is changed can be.
 */
function url(path: string, method: Method): string {
  const single = method === "GET" || path.includes("{prediction}") ? ended : waiting;
  const ofSet = path.includes("/pooled") ? pooled : set;
  const job = path.includes("/models") ? ofSet : single;
  const id = { datasets: dataset, weights, studies: study }[path.split("/")[2]] ?? job;
  return path.replace("{id}", id).replace("{step}", "1").replace("{number}", "0").replace("{prediction}", predicted);
}

test("every resource in this test can be read by its owner", async () => {
  for (const { path } of ofOne.filter(({ method }) => method === "GET")) {
    const { status } = await service.call("GET", url(path, "GET"), { headers: ann });
    expect([path, status]).toEqual([path, 200]);
  }
});

test.each(ofOne)("$method $path is not found by another", async ({ method, path }) => {
  const before = await things();
  const body = paths[path][method.toLowerCase()].requestBody === undefined ? undefined : {};
  const response = await service.call(method, url(path, method), { headers: bob, body });
  expect([response.status, response.body.code]).toEqual([404, "not_found"]);
  const absent = url(path, method).replaceAll(/_\w{26}/g, `_${"0".repeat(26)}`);
  const unknown = await service.call(method, absent, { headers: bob, body });
  const { request_id: _, ...document } = unknown.body;
  expect(response.body).toMatchObject(document);
  expect(await things()).toEqual(before);
});

async function things(): Promise<unknown> {
  const prediction = `/v1/jobs/${ended}/predictions/${predicted}`;
  const urls = [
    prediction,
    `/v1/jobs/${ended}`,
    `/v1/jobs/${waiting}`,
    `/v1/datasets/${dataset}`,
    `/v1/studies/${study}`,
  ];
  return Promise.all(urls.map(async (path) => (await service.call("GET", path, { headers: ann })).body));
}

test.each(lists)("%s is empty for another", async (path) => {
  expect((await service.call("GET", path, { headers: ann })).body.data).not.toEqual([]);
  expect((await service.call("GET", path, { headers: bob })).body.data).toEqual([]);
});

test("another's weights and jobs cannot be begun with", async () => {
  const own = (await service.upload(csv, bob)).id;
  for (const init of [{ weights }, { job: ended, step: 1 }]) {
    const response = await service.call("POST", "/v1/jobs", { body: specFor(own, { init }), headers: bob });
    const pointers = response.body.errors.map(({ pointer }: { pointer: string }) => pointer);
    expect([response.status, pointers]).toEqual([422, expect.arrayContaining([`/init/${Object.keys(init)[0]}`])]);
  }
});

test("another's job and dataset cannot be predicted with", async () => {
  const own = (await service.upload(csv, bob)).id;
  const call = { body: { dataset: own }, headers: bob };
  expect((await service.call("POST", `/v1/jobs/${ended}/predictions`, call)).status).toBe(404);
});

test("another's dataset cannot be used, and another's idempotency key is free", async () => {
  const headers = { ...bob, "idempotency-key": "k" };
  const stolen = await service.call("POST", "/v1/jobs", { body: specFor(dataset), headers });
  expect([stolen.status, stolen.body.errors[0].pointer]).toEqual([422, "/data/dataset"]);
  const own = (await service.upload(csv, bob)).id;
  const beside = await service.call("POST", "/v1/jobs", { body: specFor([own, dataset]), headers });
  expect([beside.status, beside.body.errors[0].pointer]).toEqual([422, "/data/dataset/1"]);
  const posted = await service.call("POST", "/v1/jobs", { body: specFor(own), headers });
  expect([posted.status, posted.headers["idempotency-replayed"]]).toEqual([201, undefined]);
  expect(posted.body.id).not.toBe(waiting);
});

test("another's batch has its own jobs, though its key and its body are the same", async () => {
  const body = { jobs: [{}, specFor(dataset)] };
  const [first, second] = [ann, bob].map((owner) => ({ ...owner, "idempotency-key": "batch" }));
  const anns = await service.call("POST", "/v1/jobs/batch", { body, headers: first });
  expect(anns.body.results).toMatchObject([{ status: 422 }, { status: 201 }]);
  const bobs = await service.call("POST", "/v1/jobs/batch", { body, headers: second });
  expect(bobs.headers["idempotency-replayed"]).toBeUndefined();
  expect(bobs.body.results).toMatchObject([{ status: 422 }, { status: 422 }]);
});

test("every route needs a key, except those that say they do not", async () => {
  for (const { method, path } of routes) {
    const open = (paths[path][method.toLowerCase()] as { security?: unknown[] }).security?.length === 0;
    const { status } = await service.call(method, url(path, method));
    expect([method, path, status === 401]).toEqual([method, path, !open]);
  }
});
