/** A set of models: each is the model that the plain job makes. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Job } from "../../src/contract/wire/job.ts";
import type { SetModel, SetModelDetails } from "../../src/contract/wire/model-set.ts";
import type { SetEnds } from "../../src/set-ends.ts";
import { readHeader } from "../../src/engine/state/safetensors.ts";
import { ended, sha256, startProcess, type WorkerProcess } from "../worker/support.ts";
import { openSetEnds, specFor, startService, type Service } from "./service.ts";

let service: Service;
let worker: WorkerProcess;
let dataset: string;
let setEnds: SetEnds;

/** Stores of 5 to 40 rows, one of which has no name. */
const rows = Array.from({ length: 200 }, (_, i) => [
  ["", "a", "b", "b", "c é", "c é", "c é", "c é"][i % 8],
  i % 3 === 0,
  Math.sin(i),
  (i * 7) % 11,
  ["cat", "dog"][(i >> 1) % 2],
]);
const csv = [["store", "open", "x", "z", "label"], ...rows].map((row) => row.join(",")).join("\n");

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

const data = { target: "label", features: ["x", "z"], validation: { every: 5 } };

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

test("each model has the bytes and the metrics of the plain job", async () => {
  const set = { ...data, dataset, partition_by: ["store", "open"], validation: { folds: 3, seed: 4 } };
  const training = { epochs: 3, batch_size: 4, seed: 7, seeds: 2 };
  const { id } = await service.create(specFor(dataset, { data: set, training }));
  expect(await until(id, ended)).toMatchObject({
    status: "succeeded",
    models: { total: 36, ended: 36, succeeded: 36, failed: 0, skipped: 0 },
    progress: { step: 36, total_steps: 36, progress: 1 },
  });
  for (const number of [0, 7, 20, 35]) {
    const model = await read<SetModelDetails>(`/v1/jobs/${id}/models/${number}`);
    const { fold, seed, ...where } = model.key as Record<string, string | number>;
    expect([fold, seed]).toEqual([Math.floor(number / 2) % 3, number % 2]);
    const plain = await service.create(
      specFor(dataset, {
        data: { ...data, dataset, where, validation: { folds: 3, fold, seed: 4 } },
        training: { epochs: 3, batch_size: 4, seed: 7 + Number(seed) },
      }),
    );
    const { result } = await until(plain.id, ended);
    expect(model.weights_sha256).toBe(result!.weights_sha256);
    expect(model.metrics).toEqual(result!.metrics);
    const file = await service.call("GET", `/v1/jobs/${id}/models/${number}/model`);
    expect(sha256(file.body as Buffer)).toBe(result!.weights_sha256);
  }
});

type Page = { data: SetModel[]; has_more: boolean; next: string | null };

/** All models in the order of a list, page by page. */
async function list(id: string, query: string): Promise<SetModel[]> {
  const all: SetModel[] = [];
  for (let after = ""; ;) {
    const page = await read<Page>(`/v1/jobs/${id}/models?limit=4&${query}${after}`);
    all.push(...page.data);
    if (!page.has_more) return all;
    after = `&after=${page.next}`;
  }
}

describe("a set some of whose models fail", () => {
  let id: string;
  let models: SetModel[];

  beforeAll(async () => {
    // Of store "a" no row has a label of the second class; a label is missing in "c é".
    const some = rows.map(([store, open, x, z, label], i) => [store, open, x, i === 4 ? "1e30" : z, label]);
    const text = [["store", "open", "x", "z", "label"], ...some].map((row) => row.join(",")).join("\n");
    const wide = (await service.upload(text)).id;
    const spec = specFor(wide, {
      data: {
        dataset: wide,
        target: "z",
        features: ["x"],
        partition_by: "store",
        min_rows: 30,
        preprocess: { target: "none" },
      },
      model: { layers: [{ type: "linear" }] },
      loss: { type: "mse" },
      optimizer: { type: "sgd", lr: 0.1 },
    });
    id = (await service.create(spec)).id;
    await until(id, ended);
    models = (await read<Page>(`/v1/jobs/${id}/models`)).data;
  });

  test("tells why, and the others go on", async () => {
    expect(models.map(({ key, status, error }) => [key, status, error?.code ?? null])).toEqual([
      [{ store: "a", fold: 0, seed: 0 }, "skipped", "too_few_rows"],
      [{ store: "b", fold: 0, seed: 0 }, "succeeded", null],
      [{ store: "c é", fold: 0, seed: 0 }, "failed", "diverged"],
    ]);
    const { result, status, models: counts } = await read<Job>(`/v1/jobs/${id}`);
    const ended = { total: 3, ended: 3, succeeded: 1, failed: 1, skipped: 1 };
    expect([status, counts]).toEqual(["succeeded", { ...ended, per_second: null, distribution: {} }]);
    expect(result!.metrics).toEqual({});
  });

  test("has no weights for them", async () => {
    expect((await service.call("GET", `/v1/jobs/${id}/models/2/model`)).status).toBe(404);
    expect((await service.call("GET", `/v1/jobs/${id}/models/1/model`)).status).toBe(200);
    expect((await service.call("GET", `/v1/jobs/${id}/models/3`)).body.detail).toContain("has 3 models");
  });
});

test("the stacked file has all models that succeeded, if they have one shape", async () => {
  const spec = { data: { ...data, dataset, partition_by: "store" }, training: { epochs: 2, batch_size: 4 } };
  const { id } = await service.create(specFor(dataset, spec));
  await until(id, ended);
  const { tensors, metadata } = readHeader((await service.call("GET", `/v1/jobs/${id}/model`)).body as Buffer);
  expect(tensors["0.weight"].shape).toEqual([3, 8, 2]);
  expect(metadata.numbers).toBe("[0,1,2]");
  const keys = ["a", "b", "c é"].map((store) => ({ store, fold: 0, seed: 0 }));
  expect(JSON.parse(metadata.keys)).toEqual(keys);
  const best = await service.call("GET", `/v1/jobs/${id}/model?which=best`);
  expect([best.status, best.body.detail]).toEqual([404, expect.stringContaining("model by model")]);
  const lines = Array.from({ length: 40 }, (_, i) => `${i % 2},${["red", "red", "red", "blue"][i % 4]},${i}`);
  const colours = (await service.upload(["store,colour,y", ...lines].join("\n"))).id;
  const unequal = { dataset: colours, target: "y", partition_by: "store" };
  const other = await service.create(specFor(colours, { ...spec, data: unequal, loss: { type: "mse" } }));
  await until(other.id, ended);
  const refused = await service.call("GET", `/v1/jobs/${other.id}/model`);
  expect([refused.status, refused.body.code]).toEqual([409, "not_stackable"]);
  expect(refused.body.detail).toContain('the tensor "0.weight"');
});

describe("the list of models", () => {
  let id: string;

  beforeAll(async () => {
    const spec = {
      data: { ...data, dataset, partition_by: ["open", "store"] },
      training: { epochs: 2, batch_size: 4, seeds: 3 },
    };
    id = (await service.create(specFor(dataset, spec))).id;
    await until(id, ended);
  });

  test("is in the order of their numbers, or sorted by what it is asked for", async () => {
    const all = await list(id, "");
    expect(all.map(({ number }) => number)).toEqual(Array.from({ length: 18 }, (_, number) => number));
    const rising = await list(id, "sort=metric.valid_loss");
    const losses = rising.map(({ metrics }) => metrics.valid_loss!);
    expect(losses).toEqual(all.map(({ metrics }) => metrics.valid_loss!).toSorted((a, b) => a - b));
    const falling = await list(id, "sort=-metric.valid_loss");
    expect(falling).toEqual(rising.toReversed());
    expect(await list(id, "status=failed")).toEqual([]);
    const wrong = await service.call("GET", `/v1/jobs/${id}/models?sort=metric.loss`);
    expect([wrong.status, wrong.body.detail]).toEqual([400, expect.stringContaining("metric.valid_loss")]);
  });

  test("has the means that the result has", async () => {
    const { result } = await read<Job>(`/v1/jobs/${id}`);
    const all = await list(id, "");
    const losses = all.map(({ metrics }) => metrics.valid_loss!);
    const mean = losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
    expect(result!.metrics.valid_loss).toBe(mean);
    expect(result!.distribution!.valid_loss).toMatchObject({
      mean,
      min: Math.min(...losses),
      max: Math.max(...losses),
    });
  });
});

test("while a set runs, its models that have ended are listed, and the metrics so far are told", async () => {
  const spec = {
    data: { ...data, dataset, partition_by: "store", validation: { folds: 4 } },
    training: { epochs: 30, batch_size: 4, seeds: 500 },
  };
  const { id } = await service.create(specFor(dataset, spec));
  const running = await until(id, ({ models }) => models!.ended > 0 && models!.per_second !== null);
  expect(running.models!.per_second).toBeGreaterThan(0);
  expect(running.progress.eta_seconds).toBeGreaterThanOrEqual(0);
  await service.call("POST", `/v1/jobs/${id}/pause`);
  const { models: counts, progress } = await until(id, ({ status }) => status === "paused");
  expect(counts!.ended).toBeLessThan(counts!.total);
  const all: SetModel[] = [];
  for (let after = "", more = true; more;) {
    const page = await read<Page>(`/v1/jobs/${id}/models?limit=100${after}`);
    all.push(...page.data);
    after = `&after=${page.next}`;
    more = page.has_more;
  }
  expect(all.length).toBe(counts!.ended);
  expect(all.map(({ number }) => number)).toEqual(all.map(({ number }) => number).toSorted((a, b) => a - b));
  const losses = all.map(({ metrics }) => metrics.valid_loss!);
  const { mean, min, max } = counts!.distribution.valid_loss;
  expect(mean).toBeCloseTo(losses.reduce((sum, loss) => sum + loss, 0) / losses.length, 10);
  expect(progress.metrics.valid_loss).toBeCloseTo(mean, 10);
  expect(min).toBeCloseTo(Math.min(...losses), 10);
  expect(max).toBeCloseTo(Math.max(...losses), 10);
  for (const query of ["sort=rows", "status=failed"]) {
    const refused = await service.call("GET", `/v1/jobs/${id}/models?${query}`);
    expect([refused.status, refused.body.code, refused.body.current_status]).toEqual([409, "wrong_status", "paused"]);
    expect(refused.body.detail).toContain("without sort and status");
  }
  await service.call("POST", `/v1/jobs/${id}/cancel`);
  const over = await service.call("GET", `/v1/jobs/${id}/models`);
  expect([over.status, over.body.detail]).toEqual([409, "The set has no results; the job is cancelled."]);
});

test("a set is no job with one model", async () => {
  const spec = { data: { ...data, dataset, partition_by: "store" }, training: { epochs: 2, batch_size: 4 } };
  const { id } = await service.create(specFor(dataset, spec));
  await until(id, ended);
  for (const path of ["model/description", "evaluation?split=valid", "batches", "diagnosis"])
    expect((await service.call("GET", `/v1/jobs/${id}/${path}`)).body.detail).toContain("/models");
  const fork = await service.call("POST", `/v1/jobs/${id}/fork`, { body: { step: "final" } });
  expect([fork.status, fork.body.detail]).toEqual([422, expect.stringContaining("a set of models keeps none")]);
  const inheriting = specFor(dataset, { data: { ...data, dataset, encoders: { job: id } } });
  const refused = await service.call("POST", "/v1/jobs", { body: inheriting });
  expect([refused.status, refused.body.errors[0].pointer]).toEqual([422, "/data/encoders"]);
  const plain = await service.create(specFor(dataset, { data: { ...data, dataset } }));
  expect((await service.call("GET", `/v1/jobs/${plain.id}/models`)).body.detail).toContain("one model");
  expect((await read<Job>(`/v1/jobs/${plain.id}`)).models).toBeNull();
});

test.each([
  [{ data: { partition_by: "shop" } }, "/data/partition_by", "not a column"],
  [{ data: { partition_by: ["store", "store"] } }, "/data/partition_by/1", "second time"],
  [{ data: { partition_by: "store", where: { store: "a" } } }, "/data/partition_by", "one value"],
  [
    { training: { seeds: 1000, epochs: 1, batch_size: 4 }, data: { partition_by: "x", validation: { folds: 50 } } },
    "/training/seeds",
    "1000000",
  ],
  [{ training: { seeds: 2, epochs: 1, batch_size: 4 }, observe: { every_steps: 1 } }, "/observe", "one model"],
  [
    { training: { seed: Number.MAX_SAFE_INTEGER, seeds: 2, epochs: 1, batch_size: 4 } },
    "/training/seeds",
    "9007199254740991",
  ],
])("told at POST: %j", async ({ data: changes = {}, ...rest }: Record<string, object>, pointer, message) => {
  const spec = specFor(dataset, { ...rest, data: { ...data, dataset, ...changes } });
  const { status, body } = await service.call("POST", "/v1/jobs", { body: spec });
  expect([status, body.errors]).toEqual([422, [{ pointer, message: expect.stringContaining(message) as string }]]);
});

test.each(["fold", "seed", "__proto__"])("no key of a model has a column %s", async (name) => {
  const { id } = await service.upload([`${name},y`, "a,1", "a,2", "b,3", "b,4"].join("\n"));
  const named = { dataset: id, target: "y", partition_by: name };
  const { status, body } = await service.call("POST", "/v1/jobs", {
    body: specFor(id, { data: named, loss: { type: "mse" } }),
  });
  expect([status, body.errors[0]]).toEqual([
    422,
    { pointer: "/data/partition_by", message: expect.stringContaining(name) as string },
  ]);
});

test("folds of synthetic data make a set too", async () => {
  const synthetic = { synthetic: { type: "spirals", rows: 31 }, target: "target" };
  const validation = { folds: 2 };
  const training = { epochs: 1, batch_size: 4 };
  const { id } = await service.create(specFor("", { data: { ...synthetic, validation }, training }));
  await until(id, ended);
  const plain = await service.create(
    specFor("", { data: { ...synthetic, validation: { ...validation, fold: 1 } }, training }),
  );
  const { result } = await until(plain.id, ended);
  const model = await read<SetModelDetails>(`/v1/jobs/${id}/models/1`);
  expect([model.weights_sha256, model.metrics]).toEqual([result!.weights_sha256, result!.metrics]);
});

test("a set whose weights alone are more than its owner may have is refused", async () => {
  const unlimited = { waiting: null, running: null, checkpoint_bytes: null, archived_bytes: null };
  await service.store.limitOwners({ ...unlimited, dataset_bytes: 100_000 });
  const spec = {
    data: { ...data, dataset, partition_by: "store" },
    training: { epochs: 1, batch_size: 4, seeds: 900 },
  };
  const { status, body } = await service.call("POST", "/v1/jobs", { body: specFor(dataset, spec) });
  await service.store.limitOwners({ ...unlimited, dataset_bytes: null });
  expect([status, body.code]).toEqual([413, "too_large"]);
  expect(body.detail).toContain("an owner may have 100000");
});

test("what a set takes adds up", async () => {
  const body = specFor(dataset, { data: { ...data, dataset, partition_by: "store" } });
  const { memory, memory_bytes: all } = (await service.call("POST", "/v1/jobs?validate_only=true", { body })).body;
  expect(Object.values(memory as Record<string, number>).reduce((sum, bytes) => sum + bytes, 0)).toBe(all);
});
