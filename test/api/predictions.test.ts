// Predictions over whole datasets: jobs whose result is a CSV.
import { createHash } from "node:crypto";
import { readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { sweepResults } from "../../src/api/results.ts";
import type { BatchPrediction } from "../../src/contract/wire/batch-prediction.ts";
import type { Job } from "../../src/contract/wire/job.ts";
import { columnsFile, csvFile } from "../../src/data/dataset.ts";
import { DatasetFiles } from "../../src/data/files/dataset-files.ts";
import { csvOf, features, linear, ROWS, startTraining, type Row } from "./trained.ts";

let place: Awaited<ReturnType<typeof startTraining>>;
let dataset: string;
let job: Job;

beforeAll(async () => {
  place = await startTraining();
  dataset = (await place.service.upload(csvOf(ROWS))).id;
  job = await place.trained({ data: { dataset, target: "label", features } });
});
afterAll(() => place.stop());

const post = (id: string, body: unknown, headers: Record<string, string> = {}) =>
  place.service.call("POST", `/v1/jobs/${id}/predictions`, { body, headers });
const urlOf = ({ job_id, id }: BatchPrediction) => `/v1/jobs/${job_id}/predictions/${id}`;

async function predicted(id: string, body: unknown): Promise<BatchPrediction> {
  const posted = await post(id, body);
  expect(posted.status, posted.text).toBe(201);
  expect(posted.headers.location).toBe(urlOf(posted.body));
  return await end(posted.body);
}

async function end(prediction: BatchPrediction): Promise<BatchPrediction> {
  for (;;) {
    const { body } = await place.service.call("GET", urlOf(prediction));
    if (body.finished_at !== null) return body as BatchPrediction;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function resultOf(prediction: BatchPrediction): Promise<string[][]> {
  expect(prediction.error).toBeNull();
  const { text, headers } = await place.service.call("GET", `${urlOf(prediction)}/result`);
  const sha256 = createHash("sha256").update(text).digest("hex");
  expect(headers).toMatchObject({
    etag: `"${sha256}"`,
    "content-length": String(prediction.result!.bytes),
    "content-type": "text/csv; charset=utf-8",
  });
  expect(prediction.result).toEqual({ sha256, bytes: Buffer.byteLength(text), rows: text.split("\n").length - 2 });
  return text
    .trimEnd()
    .split("\n")
    .map((line) => line.split(","));
}

const only = (row: Row): Row => Object.fromEntries(features.map((name) => [name, row[name]]));

test("each row has the class and probabilities that it has by itself", async () => {
  const prediction = await predicted(job.id, { dataset });
  expect(prediction).toMatchObject({
    status: "succeeded",
    job_id: job.id,
    which: "final",
    unseen: "error",
    weights_sha256: job.result!.weights_sha256,
    progress: { rows: 60, total_rows: 60, progress: 1 },
  });
  const [names, ...lines] = await resultOf(prediction);
  expect(names).toEqual(["class", "probability_cat", "probability_dog", "probability_emu"]);
  const known = { headers: { "if-none-match": `"${prediction.result!.sha256}"` } };
  expect((await place.service.call("GET", `${urlOf(prediction)}/result`, known)).status).toBe(304);
  for (const at of [0, 31, 59]) {
    const { predictions } = await place.predict(job.id, { rows: [only(ROWS[at])] });
    const [{ class: best, probabilities }] = predictions as [{ class: string; probabilities: Record<string, number> }];
    expect(lines[at]).toEqual([best, ...["cat", "dog", "emu"].map((name) => String(probabilities[name]))]);
  }
  expect(lines).toHaveLength(60);
});

test("values are in the units of the target, and several targets have a column each", async () => {
  const loss = { type: "mse" };
  const one = await place.trained({ data: { dataset, target: "price", features }, loss });
  const two = await place.trained({ data: { dataset, target: ["price", "weight"], features }, loss });
  const rows = ROWS.map(only);
  const [names, ...lines] = await resultOf(await predicted(one.id, { dataset }));
  expect(names).toEqual(["value"]);
  const alone = (await place.predict(one.id, { rows })).predictions as { value: number }[];
  expect(lines).toEqual(alone.map(({ value }) => [String(value)]));
  const [columns, ...pairs] = await resultOf(await predicted(two.id, { dataset }));
  expect(columns).toEqual(["price", "weight"]);
  const both = (await place.predict(two.id, { rows })).predictions as { values: Record<string, number> }[];
  expect(pairs).toEqual(both.map(({ values }) => [String(values.price), String(values.weight)]));
});

test("rows that the model cannot take are told by row and column", async () => {
  const rows = ROWS.map((row, i) => ({ ...row, colour: i === 41 ? "violet" : row.colour, x: i === 3 ? "" : row.x }));
  const other = (await place.service.upload(csvOf(rows))).id;
  const failed = await predicted(job.id, { dataset: other });
  expect(failed).toMatchObject({ status: "failed", result: null, error: { code: "invalid_rows" } });
  expect(failed.error!.message).toMatch(/\/rows\/3\/x is missing.*and 1 more/);
  const none = await place.service.call("GET", `${urlOf(failed)}/result`);
  expect([none.status, none.body.current_status]).toEqual([409, "failed"]);
  const filled = (await place.service.upload(csvOf(rows.map((row, i) => ({ ...row, x: ROWS[i].x }))))).id;
  const unknown = await predicted(job.id, { dataset: filled });
  expect(unknown.error!.message).toMatch(/^\/rows\/41\/colour is "violet", which no training row has/);
  const [, ...lines] = await resultOf(await predicted(job.id, { dataset: filled, unseen: "zeros" }));
  expect(lines).toHaveLength(60);
});

test("what cannot be predicted from is refused with what is wrong", async () => {
  const narrow = (await place.service.upload(csvOf(ROWS.map(({ x, old }) => ({ x, old }))))).id;
  const refused = await post(job.id, { dataset: narrow });
  expect(refused.status).toBe(422);
  expect(refused.body.errors).toEqual([
    { pointer: "/dataset", message: 'lacks the column "when": the model predicts from it' },
    { pointer: "/dataset", message: 'lacks the column "colour": the model predicts from it' },
  ]);
  const absent = await post(job.id, { dataset: `ds_${"0".repeat(26)}` });
  expect([absent.status, absent.body.errors]).toEqual([
    422,
    [{ pointer: "/dataset", message: "names a dataset that does not exist" }],
  ]);
  const misnamed = await post(job.id, { data: dataset });
  expect([misnamed.status, misnamed.body.code]).toEqual([422, "invalid_spec"]);
  expect((await post(job.id, { dataset, which: "best" })).status).toBe(404);
  const spec = { data: { dataset, target: "label", features }, model: { layers: [linear()] } };
  const long = { ...spec, loss: { type: "cross_entropy" }, optimizer: { type: "sgd", lr: 0.1 } };
  const waiting = await place.service.create({ ...long, training: { epochs: 100_000, batch_size: 1 } });
  const early = await post(waiting.id, { dataset });
  expect([early.status, early.body.code]).toEqual([409, "wrong_status"]);
  await place.service.call("POST", `/v1/jobs/${waiting.id}/cancel`);
});

test("damaged columns are made again from the dataset's bytes, and what cannot be is told", async () => {
  const { service } = place;
  const text = csvOf(ROWS.map(only));
  const own = await service.upload(text);
  const columns = join(service.directory, columnsFile(own));
  const whole = await predicted(job.id, { dataset: own.id });
  const bytes = readFileSync(columns);
  bytes[bytes.length - 9] ^= 1;
  for (const damaged of [bytes, bytes.subarray(0, 300)]) {
    writeFileSync(columns, damaged);
    expect((await predicted(job.id, { dataset: own.id })).result).toEqual(whole.result);
  }
  writeFileSync(columns, bytes);
  writeFileSync(join(service.directory, csvFile(own)), text.slice(1));
  const { error, result } = await predicted(job.id, { dataset: own.id });
  expect([error?.code, result]).toEqual(["dataset_unavailable", null]);
});

test("it holds its dataset and its job until it has ended, and goes with its job", async () => {
  const { service, trained } = place;
  const own = (await service.upload(csvOf(ROWS.map((row) => ({ ...row, x: row.x + 1 }))))).id;
  const model = await trained({ data: { dataset, target: "label", features } });
  await place.pause();
  const { body: waiting } = await post(model.id, { dataset: own });
  expect(waiting.status).toBe("queued");
  expect((await service.call("DELETE", `/v1/datasets/${own}`)).body.code).toBe("dataset_in_use");
  expect((await service.call("DELETE", `/v1/jobs/${model.id}`)).body.code).toBe("job_in_use");
  expect((await service.call("DELETE", urlOf(waiting))).body.code).toBe("wrong_status");
  const cancelled = await service.call("POST", `${urlOf(waiting)}/cancel`);
  expect([cancelled.status, cancelled.body.status]).toEqual([202, "cancelled"]);
  expect((await service.call("POST", `${urlOf(waiting)}/cancel`)).status).toBe(200);
  expect((await service.call("DELETE", `/v1/datasets/${own}`)).status).toBe(204);
  await place.goOn();

  const done = await predicted(model.id, { dataset });
  const { data } = (await service.call("GET", `/v1/jobs/${model.id}/predictions`)).body;
  expect(data).toEqual(
    [done, { ...cancelled.body, updated_at: undefined }].map(({ id }) => expect.objectContaining({ id })),
  );
  expect((await service.call("GET", "/v1/jobs?limit=100")).body.data.map(({ id }: Job) => id)).toContain(model.id);
  expect((await service.call("GET", "/v1/jobs?limit=100")).text).not.toContain("pred_");
  expect(service.onDisk()).toContain(`${done.id}.result`);
  expect((await service.call("DELETE", `/v1/jobs/${model.id}`)).status).toBe(204);
  expect((await service.call("GET", urlOf(done))).status).toBe(404);
  expect(service.onDisk()).not.toContain(`${done.id}.result`);
});

test("datasets side by side are one table, and all of them are held", async () => {
  const { service } = place;
  const upload = async (...names: (keyof (typeof ROWS)[number])[]) =>
    (await service.upload(csvOf(ROWS.map((row) => Object.fromEntries(names.map((name) => [name, row[name]])))))).id;
  const parts = [await upload("colour", "x"), await upload("when"), await upload("price", "old")];
  await place.pause();
  const { body: waiting } = await post(job.id, { dataset: parts });
  expect(waiting.dataset).toEqual(parts);
  for (const part of parts)
    expect((await service.call("DELETE", `/v1/datasets/${part}`)).body.code).toBe("dataset_in_use");
  await place.goOn();
  const beside = await end(waiting);
  const whole = await predicted(job.id, { dataset: [dataset] });
  expect(whole.dataset).toBe(dataset);
  expect([beside.error, beside.result]).toEqual([null, whole.result]);
  for (const part of parts.slice(1)) expect((await service.call("DELETE", `/v1/datasets/${part}`)).status).toBe(204);
  const refused = await post(job.id, { dataset: [parts[0], parts[1], parts[0]] });
  expect(refused.body.errors).toEqual([
    { pointer: "/dataset/1", message: "names a dataset that does not exist" },
    { pointer: "/dataset/2", message: `names ${parts[0]} a second time` },
  ]);
});

test("the same key and body make one prediction", async () => {
  const headers = { "idempotency-key": "nightly" };
  const both = await Promise.all([post(job.id, { dataset }, headers), post(job.id, { dataset }, headers)]);
  const again = await post(job.id, { dataset }, headers);
  expect([...both, again].map(({ status, body }) => [status, body.id])).toEqual(
    [...both, again].map(() => [201, again.body.id]),
  );
  expect([again.headers["idempotency-replayed"], again.headers.location]).toEqual(["true", urlOf(again.body)]);
  expect(both.filter(({ headers }) => headers["idempotency-replayed"] === "true")).toHaveLength(1);
  const other = await post(job.id, { dataset, unseen: "zeros" }, headers);
  expect([other.status, other.body.code]).toEqual([422, "idempotency_mismatch"]);
  await end(again.body);
  expect((await place.service.call("DELETE", urlOf(again.body))).status).toBe(204);
  const { body: later } = await post(job.id, { dataset }, headers);
  expect(later.id).not.toBe(again.body.id);
  await end(later);
});

test("a result counts as bytes of datasets until it is deleted", async () => {
  const { service } = place;
  const used = async () => (await service.store.datasets.room("default")).used;
  const before = await used();
  const done = await predicted(job.id, { dataset });
  expect(await used()).toBe(before + done.result!.bytes);
  await service.store.limitOwners({
    waiting: null,
    running: null,
    dataset_bytes: (await used()) + done.result!.bytes,
    checkpoint_bytes: null,
    archived_bytes: null,
  });
  const beyond = await post(job.id, { dataset });
  expect([beyond.status, beyond.body.code, beyond.body.detail]).toEqual([
    429,
    "rate_limited",
    expect.stringContaining("bytes of datasets"),
  ]);
  await service.store.limitOwners({
    waiting: null,
    running: null,
    dataset_bytes: null,
    checkpoint_bytes: null,
    archived_bytes: null,
  });
  expect((await service.call("DELETE", urlOf(done))).status).toBe(204);
  expect(await used()).toBe(before);
  expect(service.onDisk()).not.toContain(`${done.id}.result`);
});

test("files of results without a record go once they are old", async () => {
  const { store, directory, onDisk } = place.service;
  const [kept, gone] = [await predicted(job.id, { dataset }), await predicted(job.id, { dataset })];
  const others = ["0".repeat(26), "1".repeat(26)].map((ulid) => `pred_${ulid}.result`);
  for (const name of others) writeFileSync(join(directory, name), "value\n");
  await store.predictions.remove("default", gone.id);
  const then = new Date(Date.now() - 3_700_000);
  const [young, ...old] = [others[0], others[1], `${kept.id}.result`, `${gone.id}.result`];
  for (const name of old) utimesSync(join(directory, name), then, then);
  await sweepResults({ store, files: new DatasetFiles(directory) });
  const left = onDisk().filter((name) => [young, ...old].includes(name));
  expect(left.toSorted()).toEqual([young, `${kept.id}.result`].toSorted());
});

test("a forecast over a dataset has the row that each prediction is of", async () => {
  const shops = ["north", "south", "tiny"].flatMap((shop, number) =>
    Array.from({ length: [4100, 20, 3][number] }, (_, month) => ({
      shop,
      month: new Date(Date.UTC(2024, month)).toISOString().slice(0, 10),
      sales: number + Math.round(1e3 * Math.sin(month)) / 1e3,
      price: (month * 7) % 5,
    })),
  );
  const { service } = place;
  const own = (await service.upload(csvOf(shops))).id;
  const window = { order: "month", series: "shop", length: 4, horizon: 2 };
  const data = { dataset: own, target: "sales", features: ["sales", "price"], window };
  const layers = [{ type: "flatten" }, linear(4), { type: "tanh" }, linear()];
  const model = await place.trained({ data, model: { layers }, loss: { type: "mse" } });
  const [names, ...lines] = await resultOf(await predicted(model.id, { dataset: own }));
  expect(names).toEqual(["shop", "month", "value"]);
  const wanted = [];
  for (const shop of ["north", "south"]) {
    const rows = shops.filter((row) => row.shop === shop);
    const { predictions } = await place.predict(model.id, { rows });
    for (const [at, { value }] of (predictions as { value: number }[]).entries())
      wanted.push([shop, rows[at + 5]?.month ?? "", String(value)]);
  }
  expect(lines).toEqual(wanted);

  const fault = async (rows: typeof shops) => {
    const failed = await predicted(model.id, { dataset: (await service.upload(csvOf(rows))).id });
    return `${failed.error!.code} ${failed.error!.message}`;
  };
  expect(await fault(shops.toReversed())).toMatch(/^invalid_rows .*\/rows\/1\/month does not come after/);
  expect(await fault([...shops, { ...shops[0], month: "2031-01-01" }])).toMatch(
    /^invalid_rows .*\/rows\/4123\/shop is a series that ended before: sort the rows/,
  );
  const without = (await service.upload(csvOf(shops.map(({ shop, sales, price }) => ({ shop, sales, price }))))).id;
  const refused = await post(model.id, { dataset: without });
  expect(refused.body.errors).toEqual([
    { pointer: "/dataset", message: 'lacks the column "month", by which rows make windows' },
  ]);
});
