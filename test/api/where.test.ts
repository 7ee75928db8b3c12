/** A job on some rows of a dataset has the bytes of a job on a dataset of these rows. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Job } from "../../src/contract/wire/job.ts";
import { ended, startProcess, type WorkerProcess } from "../worker/support.ts";
import { specFor, startService, type Service } from "./service.ts";

let service: Service;
let worker: WorkerProcess;
let whole: string;

const rows = Array.from({ length: 90 }, (_, i) => [
  i % 3,
  i % 2 === 0,
  Math.sin(i),
  (i * 7) % 11,
  ["cat", "dog"][(i >> 1) % 2],
]);
const csvOf = (some: unknown[][]) =>
  [["store", "open", "x", "z", "label"], ...some].map((row) => row.join(",")).join("\n");
const data = { target: "label", features: ["x", "z"], validation: { folds: 3, fold: 1, stratify: true } };

beforeAll(async () => {
  service = await startService();
  worker = await startProcess({ REDIS_URL: service.redis.url, DATA_DIR: service.directory });
  whole = (await service.upload(csvOf(rows))).id;
});
afterAll(async () => {
  worker.kill("SIGKILL");
  await worker.exited;
  await service.stop();
});

async function outcome(dataset: string, changes: object): Promise<Job> {
  const { id } = await service.create(specFor(dataset, { data: { dataset, ...data, ...changes } }));
  for (;;) {
    const job = (await service.call("GET", `/v1/jobs/${id}`)).body as Job;
    if (ended(job)) return job;
  }
}

test("it trains and validates on these rows alone", async () => {
  const alone = await service.upload(csvOf(rows.filter(([store]) => store === 2)));
  const [chosen, plain] = [await outcome(whole, { where: { store: 2 } }), await outcome(alone.id, {})];
  expect(chosen).toMatchObject({ status: "succeeded", error: null });
  expect(chosen.result!.weights_sha256).toBe(plain.result!.weights_sha256);
  expect(chosen.result!.metrics).toEqual(plain.result!.metrics);
  const other = await outcome(whole, { where: { store: 1 } });
  expect(other.result!.weights_sha256).not.toBe(plain.result!.weights_sha256);
});

test("its rows are part of its identity, whatever their value is", async () => {
  const hashes = new Set<string>();
  for (const where of [null, { open: true }, { open: false }, { store: 0 }, { store: 0, open: false }]) {
    hashes.add((await service.create(specFor(whole, { data: { dataset: whole, ...data, where } }))).spec_sha256);
  }
  expect(hashes.size).toBe(5);
});

test.each([
  ["/data/where/shop", { where: { shop: 1 } }],
  ["/data/where/store", { where: { store: null } }],
  ["/data/where", { where: { store: 2, z: 100 } }],
  ["/data/where", { where: Object.fromEntries(Array.from({ length: 21 }, (_, i) => [`c${i}`, 1])) }],
  ["/data/validation/fold", { validation: { folds: 3, fold: 3 } }],
  // Without `fold` it would be a set of models.
  ["/data/validation", { validation: { folds: 3, every: 2 } }],
  ["/data/validation/group", { validation: { folds: 3, fold: 0, group: "nobody" } }],
  ["/data/test", { test: { folds: 3, fold: 0 } }],
])("%s is told", async (pointer, changes) => {
  const body = specFor(whole, { data: { dataset: whole, ...data, ...changes } });
  const { status, body: problem } = await service.call("POST", "/v1/jobs", { body });
  expect(status).toBe(422);
  expect((problem as { errors: { pointer: string }[] }).errors.map((error) => error.pointer)).toEqual([pointer]);
});
