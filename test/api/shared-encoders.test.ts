/** Encoders that all models of a set share, and that other jobs take over from it. */
import type { z } from "zod";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Job, ValidatedSpec } from "../../src/contract/wire/job.ts";
import type { ModelDescription } from "../../src/contract/wire/model.ts";
import type { SetModelDetails } from "../../src/contract/wire/model-set.ts";
import type { SetEnds } from "../../src/set-ends.ts";
import { ended, startProcess, type WorkerProcess } from "../worker/support.ts";
import { openSetEnds, specFor, startService, type Service } from "./service.ts";

let service: Service;
let worker: WorkerProcess;
let setEnds: SetEnds;
let dataset: string;

/** Stores of unequal size and unequal numbers. Not every store has all cities and labels. */
const rows = Array.from({ length: 160 }, (_, i) => {
  const store = ["a", "b", "b", "c", "c", "c", ""][i % 7];
  const city = store === "a" ? "Oslo" : ["Oslo", "Rome", "Bern"][i % 3];
  const x = Math.sin(i) * (store === "c" ? 100 : 1);
  const label = store === "a" ? ["cat", "dog"][(i >> 1) % 2] : ["cat", "dog", "cow"][(i >> 1) % 3];
  return [store, i % 2 === 0, x, city, label, Math.cos(i)];
});
const names = ["store", "open", "x", "city", "label", "y"];
const csv = [names, ...rows].map((row) => row.join(",")).join("\n");

beforeAll(async () => {
  service = await startService();
  setEnds = openSetEnds(service);
  worker = await startProcess({ REDIS_URL: service.redis.url, DATA_DIR: service.directory });
  dataset = (await service.upload(csv)).id;
});

afterAll(async () => {
  worker.kill("SIGKILL");
  await worker.exited;
  await setEnds.close();
  await service.stop();
});

async function read<T>(path: string): Promise<T> {
  const { status, body, text } = await service.call("GET", path);
  if (status !== 200) throw new Error(text);
  return body as T;
}

async function trained(spec: unknown): Promise<Job> {
  const { id } = await service.create(spec);
  for (;;) {
    const job = await read<Job>(`/v1/jobs/${id}`);
    if (ended(job)) return job;
  }
}

const training = { epochs: 2, batch_size: 4, seed: 3 };
const classes = { target: "label", features: ["x", "city"], unseen: "zeros" };
const values = { target: "y", features: ["x"], validation: { fraction: 0.3, seed: 1 } };

test.each([
  ["classes", { data: { ...classes, validation: { every: 4 } } }],
  ["values", { data: { ...values, test: { tail: 0.2 } }, loss: { type: "mse" } }],
])("a model is the plain job that takes the encoders of the set: %s", async (_, { data, ...rest }) => {
  const shared = { ...data, dataset, partition_by: ["store", "open"], encoders: "shared" };
  const set = await trained(specFor(dataset, { ...rest, data: shared, training: { ...training, seeds: 2 } }));
  expect(set).toMatchObject({ status: "succeeded", models: { total: 12, succeeded: 12 } });
  expect(set.spec.data).toMatchObject({ encoders: "shared", features: data.features });
  for (const number of [0, 5, 10]) {
    const model = await read<SetModelDetails>(`/v1/jobs/${set.id}/models/${number}`);
    const { fold: _fold, seed, ...where } = model.key;
    const plain = await trained(
      specFor(dataset, {
        ...rest,
        data: { ...data, features: undefined, dataset, where, encoders: { job: set.id } },
        training: { ...training, seed: training.seed + Number(seed) },
      }),
    );
    expect(plain.spec.data.encoders_sha256).toBe(set.spec.data.encoders_sha256);
    expect([plain.result!.weights_sha256, plain.result!.metrics]).toEqual([model.weights_sha256, model.metrics]);
    const { inputs, target } = await read<ModelDescription>(`/v1/jobs/${plain.id}/model/description`);
    expect(model.description).toMatchObject({ inputs, target });
  }
});

type Validated = z.infer<typeof ValidatedSpec>;

/** What is told of a set with shared encoders that is only validated. */
async function validated(content: string, changes: object): Promise<Validated> {
  const { id } = await service.upload(content);
  const data = { ...values, dataset: id, partition_by: "store", encoders: "shared", ...changes };
  const spec = specFor(id, { data, loss: { type: "mse" }, training });
  const { body, text } = await service.call("POST", "/v1/jobs?validate_only=true", { body: spec });
  if (!body.valid) throw new Error(text);
  return body as Validated;
}

async function encodersOf(content: string, changes: object): Promise<string> {
  return (await validated(content, changes)).spec.data.encoders_sha256!;
}

test("the largest model says what a set takes, not the rows of all", async () => {
  const [shared, own] = [await validated(csv, {}), await validated(csv, { encoders: "own" })];
  expect(own.spec.data.encoders).toBe("refit");
  expect(shared.memory_bytes).toBe(own.memory_bytes);
});

test("they know no row that is held back from a model, or that is in none", async () => {
  // Of each store the first row and every third after it validate.
  const counts = new Map<unknown, number>();
  const held = rows.map(([store]) => {
    const before = counts.get(store) ?? 0;
    counts.set(store, before + 1);
    return store === "" || before % 3 === 0;
  });
  const changed = (which: (i: number) => boolean) =>
    [names, ...rows.map((row, i) => (which(i) ? row.with(2, 7).with(5, 7) : row))]
      .map((row) => row.join(","))
      .join("\n");
  const rule = { validation: { every: 3 } };
  const whole = await encodersOf(csv, rule);
  expect(
    await encodersOf(
      changed((i) => held[i]),
      rule,
    ),
  ).toBe(whole);
  expect(
    await encodersOf(
      changed((i) => i === held.indexOf(false)),
      rule,
    ),
  ).not.toBe(whole);
});

test("where all rows train in some model, they are those of the plain job", async () => {
  const all = { where: { open: true }, features: ["x"], validation: null };
  const set = await encodersOf(csv.replaceAll(/^,/gm, "d,"), all);
  const plain = await trained(
    specFor(dataset, { data: { ...values, ...all, dataset }, loss: { type: "mse" }, training }),
  );
  const other = await service.create(
    specFor(dataset, {
      data: { ...values, ...all, features: undefined, where: { store: "b" }, dataset, encoders: { job: plain.id } },
      loss: { type: "mse" },
      training,
    }),
  );
  expect(set).toBe(other.spec.data.encoders_sha256);
});

test("a set may take the encoders of a job", async () => {
  const rest = { loss: { type: "mse" }, training };
  const plain = await service.create(specFor(dataset, { ...rest, data: { ...values, dataset } }));
  const taking = { ...values, features: undefined, dataset, encoders: { job: plain.id } };
  const set = await trained(specFor(dataset, { ...rest, data: { ...taking, partition_by: "store" } }));
  const other = await trained(specFor(dataset, { ...rest, data: { ...taking, where: { store: "b" } } }));
  const model = await read<SetModelDetails>(`/v1/jobs/${set.id}/models/1`);
  expect(model.key).toMatchObject({ store: "b" });
  expect([model.weights_sha256, model.metrics]).toEqual([other.result!.weights_sha256, other.result!.metrics]);
});

test.each([
  [{ encoders: "shared" }, "/data/encoders", "only with data.partition_by"],
  [
    { encoders: "shared", partition_by: "store", validation: { folds: 3 } },
    "/data/encoders",
    "each model fits its own",
  ],
  [{ encoders: "shared", partition_by: "store", where: { shop: 1 } }, "/data/where/shop", "shop"],
  [{ encoders: "shared", partition_by: "store", columns: { city: "numeric" } }, "/data/columns/city", ""],
  [{ encoders: "shared", partition_by: "store", validation: { fraction: 0.995 } }, "/data/encoders", "no rows"],
  [{ encoders: "shared", partition_by: "store", encoders_sha256: "0".repeat(64) }, "/data/encoders_sha256", "the set"],
  [
    { encoders: "shared", partition_by: "x", unseen: "error", validation: { column: "y" }, where: { store: "a" } },
    "/data/unseen",
    "the encoders of the set do not know",
  ],
])("told at POST: %j", async (changes, pointer, message) => {
  const spec = specFor(dataset, { data: { ...classes, dataset, ...changes }, training });
  const { status, body } = await service.call("POST", "/v1/jobs", { body: spec });
  expect([status, body.errors]).toEqual([422, [{ pointer, message: expect.stringContaining(message) as string }]]);
});
