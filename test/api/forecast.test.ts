/** A forecast of seasonal series, from the upload of a table to its model. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Job } from "../../src/contract/wire/job.ts";
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

function csv(): string {
  const month = (at: number) => new Date(Date.UTC(2000, at)).toISOString().slice(0, 10);
  const rows = shops.flatMap(({ shop, values }) => values.map((value, at) => `${month(at)},${shop},${value}`));
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
