/** A forecast of seasonal series, from the upload of a table to its model. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Job } from "../../src/contract/wire/job.ts";
import { floats, longs, npy, zip } from "../data/tensors/files.ts";
import { ended, startProcess, type WorkerProcess } from "../worker/support.ts";
import { startService, type Service } from "./service.ts";

const MONTHS = 240;
const HELD = 0.25;
let service: Service;
let worker: WorkerProcess;

/** Sales of three shops: a season of twelve months, a slow change, and noise. */
const shops = ["north", "south", "west"].map((shop, number) => {
  let state = 11 + number;
  const random = () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
  const noise = () => random() + random() + random() - 1.5;
  const values = Array.from(
    { length: MONTHS },
    (_, month) => 10 + 3 * Math.sin((2 * Math.PI * (month + 4 * number)) / 12) + Math.sin(month / 40) + noise(),
  );
  return { shop, values };
});

beforeAll(async () => {
  service = await startService();
  worker = await startProcess({ REDIS_URL: service.redis.url, DATA_DIR: service.directory });
});
afterAll(async () => {
  worker.kill("SIGKILL");
  await worker.exited;
  await service.stop();
});

async function until(id: string): Promise<Job> {
  for (;;) {
    const job = (await service.call("GET", `/v1/jobs/${id}`)).body as Job;
    if (ended(job)) return job;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const spec = (dataset: string) => ({
  data: {
    dataset,
    target: "sales",
    features: ["sales"],
    window: { order: "month", series: "shop", length: 24 },
    validation: { tail: HELD },
  },
  model: {
    layers: [{ type: "flatten" }, { type: "linear", out_features: 16 }, { type: "relu" }, { type: "linear" }],
  },
  loss: { type: "mse" },
  optimizer: { type: "adamw", lr: 0.003, weight_decay: 0.1 },
  training: { epochs: 30, batch_size: 16, seed: 2 },
});

const monthOf = (at: number) => new Date(Date.UTC(2000, at)).toISOString().slice(0, 10);

function csv(): string {
  const rows = shops.flatMap(({ shop, values }) => values.map((value, at) => `${monthOf(at)},${shop},${value}`));
  return ["month,shop,sales", ...rows].join("\n");
}

/** The error of taking what was twelve months before, for the months that validation predicts. */
function seasonalNaive(): number {
  const first = MONTHS - Math.round(MONTHS * HELD) + 24;
  const errors = shops.flatMap(({ values }) => values.slice(first).map((value, i) => value - values[first + i - 12]));
  return Math.sqrt(errors.reduce((sum, error) => sum + error * error, 0) / errors.length);
}

test("a small net forecasts better than the value of the year before", async () => {
  const { id } = await service.upload(csv());
  const { body: plan } = await service.call("POST", "/v1/jobs?validate_only=true", { body: spec(id) });
  expect(plan.spec.data.window).toEqual({ order: "month", series: "shop", length: 24, horizon: 1, stride: 1 });
  const job = await until((await service.create(spec(id))).id);
  expect(job.status).toBe("succeeded");
  const { valid_rmse: error } = job.result!.metrics as Record<string, number>;
  expect(error).toBeLessThan(0.9 * seasonalNaive());
  const { body: model } = await service.call("GET", `/v1/jobs/${job.id}/model/description`);
  expect(model).toMatchObject({ input: { shape: [24, 1], type: "float32" }, inputs: [{ column: "sales" }] });
  // Encoders that another job takes over give samples of the same length.
  const { features: _, ...data } = spec(id).data;
  const heir = (window: object) =>
    service.call("POST", "/v1/jobs?validate_only=true", {
      body: { ...spec(id), data: { ...data, window, encoders: { job: job.id } } },
    });
  expect((await heir({ ...data.window, horizon: 2 })).body).toMatchObject({ valid: true });
  expect((await heir({ ...data.window, length: 12 })).body.errors).toEqual([
    { pointer: "/data/window", message: expect.stringMatching(/24 rows.*"refit"/) },
  ]);
});

test("rows that follow each other are predicted from as they were in training", async () => {
  const { id } = await service.upload(csv());
  const { window, ...data } = spec(id).data;
  // Two columns, one of them in classes, in another order than that of the file.
  const features = ["shop", "sales"];
  const job = await until(
    (await service.create({ ...spec(id), data: { ...data, features, window: { ...window, horizon: 2 } } })).id,
  );
  const predict = async (body: unknown, headers: Record<string, string> = {}) =>
    await service.call("POST", `/v1/jobs/${job.id}/predict`, { body, headers });
  const first = MONTHS - Math.round(MONTHS * HELD);
  const errors: number[] = [];
  for (const { shop, values } of shops) {
    const rows = values.slice(first, -2).map((sales, at) => ({ month: monthOf(first + at), shop, sales }));
    const { body } = await predict({ rows });
    expect(body.predictions).toHaveLength(rows.length - 23);
    for (const [i, { value }] of body.predictions.entries()) errors.push(value - values[first + i + 25]);
    const lines = ["sales,shop", ...rows.map(({ sales }) => `${sales},${shop}`)].join("\n");
    expect((await predict(lines, { "content-type": "text/csv" })).body).toEqual(body);
    const few = await predict({ rows: rows.slice(5, 29) });
    expect(few.body.predictions).toEqual([body.predictions[5]]);
  }
  const rmse = Math.sqrt(errors.reduce((sum, error) => sum + error * error, 0) / errors.length);
  expect(rmse).toBeCloseTo((job.result!.metrics as Record<string, number>).valid_rmse, 5);

  const row = (shop: string, at: number) => ({ month: monthOf(at), shop, sales: 3 });
  const wrong = Array.from({ length: 30 }, (_, at) => row(at < 28 ? "north" : "south", at === 3 ? 2 : at));
  expect((await predict({ rows: wrong })).body.errors).toEqual([
    { pointer: "/rows/3/month", message: expect.stringMatching(/in order/) },
    { pointer: "/rows/28/shop", message: expect.stringMatching(/another series/) },
  ]);
  expect((await predict({ rows: wrong.slice(5, 25) })).body.errors).toEqual([
    { pointer: "/rows", message: expect.stringMatching(/at least 24 items, not 20/) },
  ]);
});

test("samples of two columns are predicted from as nested arrays or as rows", async () => {
  const [header, ...lines] = csv().split("\n");
  const { id } = await service.upload([`${header},price`, ...lines.map((line, i) => `${line},${i % 7}`)].join("\n"));
  const window = { order: "month", series: "shop", length: 4 };
  for (const shape of [null, [2, 4]]) {
    const job = await until(
      (
        await service.create({
          ...spec(id),
          data: { ...spec(id).data, features: ["price", "sales"], window, shape },
          training: { epochs: 1, batch_size: 64 },
        })
      ).id,
    );
    const rows = [1, 2, 3, 4, 5, 6].map((at) => ({ price: at % 4, sales: 8 + at }));
    const samples = [0, 1, 2].map((at) => rows.slice(at, at + 4).flatMap(({ price, sales }) => [price, sales]));
    const predicted = async (body: object) =>
      (await service.call("POST", `/v1/jobs/${job.id}/predict`, { body })).body.predictions;
    const answers = await predicted({ rows });
    expect(new Set(answers.map(({ value }: { value: number }) => value)).size).toBe(3);
    expect(await predicted({ inputs: samples })).toEqual(answers);
  }
});

test("default features leave out the columns of order and series", async () => {
  const { id } = await service.upload(csv().replaceAll("\n", ",1\n").replace("sales,1", "sales,price") + ",1");
  const body = spec(id);
  const { spec: resolved } = (
    await service.call("POST", "/v1/jobs?validate_only=true", {
      body: { ...body, data: { ...body.data, features: null } },
    })
  ).body;
  expect(resolved.data.features).toEqual(["price"]);
});

test("an array is no target of a window, as it is no feature", async () => {
  const times = Array.from({ length: 12 }, (_, i) => (i * 5) % 12);
  const body = zip({
    "time.npy": npy({ descr: "<i8", shape: [12], data: longs(...times) }),
    "next.npy": npy({ descr: "<f4", shape: [12, 2], data: floats(...times.flatMap((time) => [time, -time])) }),
  });
  const { id } = (await service.call("POST", "/v1/datasets", { body })).body;
  const data = { dataset: id, target: "next", features: ["time"], window: { order: "time", length: 3 } };
  const answer = await service.call("POST", "/v1/jobs", { body: { ...spec(id), data } });
  const message = "takes columns with one number or class a row, not arrays";
  expect([answer.status, answer.body.errors]).toEqual([422, [{ pointer: "/data/window", message }]]);
});

test.each([
  [{ window: { order: "month", series: "shop", length: 300 } }, "/data/window/length"],
  [{ window: { order: "month", length: 24 } }, "/data/window/order"],
  [{ window: { order: "shop", length: 24 } }, "/data/window/order"],
  [{ window: { order: "month", series: "city", length: 24 } }, "/data/window/series"],
  [{ window: { order: "month", series: "shop", length: 0 } }, "/data/window/length"],
  [{ features: null }, "/data/features"],
])("%j is told, and nothing is left behind", async (changes, pointer) => {
  const { id } = await service.upload(csv());
  const before = service.onDisk();
  const answer = await service.call("POST", "/v1/jobs", {
    body: { ...spec(id), data: { ...spec(id).data, ...changes } },
  });
  expect(answer.status).toBe(422);
  expect(answer.body.errors.map((fault: { pointer: string }) => fault.pointer)).toContain(pointer);
  expect(service.onDisk()).toEqual(before);
});
