// Predictions from rows of tables.
import { connect, type AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Job } from "../../src/contract/wire/job.ts";
import type { Predictions } from "../../src/contract/wire/prediction.ts";
import { meters } from "../../src/meters.ts";
import { MAX_WAITING } from "../../src/predict/predictor.ts";
import { csvOf, features, field, linear, ROWS, startTraining, VALID } from "./trained.ts";

let training: Awaited<ReturnType<typeof startTraining>>;
beforeAll(async () => {
  training = await startTraining();
});
afterAll(() => training.stop());

let dataset: string;
let job: Job;
let all: Predictions;
beforeAll(async () => {
  dataset = (await training.service.upload(csvOf(ROWS))).id;
  job = await training.trained({
    data: { dataset, features, target: "label", validation: { every: 5 } },
    checkpoint: { keep_best: true },
    training: { epochs: 3, batch_size: 16, early_stopping: { metric: "valid_loss", patience: 9 } },
  });
  all = await training.predict(job.id, { rows: ROWS });
});

test("has the classes that the job evaluated, with their probabilities", async () => {
  expect(all.weights_sha256).toBe(job.result!.weights_sha256);
  const predictions = (await training.predict(job.id, { rows: VALID })).predictions;
  const right = field(predictions, "class").filter((label, i) => label === VALID[i].label);
  expect(right.length / VALID.length).toBe(job.result!.metrics.valid_accuracy);
  const losses = VALID.map(({ label }, i) => {
    const { probabilities } = predictions[i] as { probabilities: Record<string, number> };
    expect(Object.keys(probabilities)).toEqual(["cat", "dog", "emu"]);
    expect(Object.values(probabilities).reduce((sum, p) => sum + p)).toBeCloseTo(1, 12);
    return -Math.log(probabilities[label]);
  });
  const loss = losses.reduce((sum, term) => sum + term) / losses.length;
  expect(loss).toBeCloseTo(job.result!.metrics.valid_loss!, 6);
});

test("gives a row the same bytes alone, among others, and as a CSV", async () => {
  for (const [i, row] of ROWS.entries())
    if (i % 7 === 0)
      expect(await training.predict(job.id, { rows: [row] })).toEqual({ ...all, predictions: [all.predictions[i]] });
  const csv = await training.askCsv(job.id, csvOf(ROWS));
  expect(csv.text).toBe((await training.ask(job.id, { rows: ROWS })).text);
});

test("reads texts as cells, and true as a class", async () => {
  const { x, old, ...others } = ROWS[1];
  const [prediction] = (await training.predict(job.id, { rows: [{ ...others, x: ` ${x} `, old: old === "yes" }] }))
    .predictions;
  expect(prediction).toEqual(all.predictions[1]);
});

test("a class that is a missing token between spaces is a class, as in the dataset", async () => {
  const kinds = ["a", '" - "', "-", '" "'];
  const rows = ROWS.map(({ price }, i) => ({ kind: kinds[i % 4], price: price + 9 * (i % 4) }));
  const { id } = await training.service.upload(csvOf(rows));
  const { id: spaced } = await training.trained({
    data: { dataset: id, target: "price", preprocess: { missing: "mean" } },
    model: { layers: [linear()] },
    loss: { type: "mse" },
  });
  const { body } = await training.askCsv(spaced, csvOf(rows.slice(0, 4)));
  const values = field(body.predictions, "value");
  expect(new Set(values).size).toBe(4);
  const { predictions } = await training.predict(spaced, {
    rows: ["a", " - ", "-", " "].map((kind) => ({ kind })),
  });
  expect(field(predictions, "value")).toEqual(values);
  expect(
    field((await training.predict(spaced, { rows: [{ kind: " a" }, { kind: "- " }] })).predictions, "value"),
  ).toEqual([values[0], values[2]]);
});

test("a class that was a date is read as the dates were", async () => {
  const days = ["12/31/2023", "01/02/2024", "01/02/2024 06:00 PM"];
  const rows = ROWS.map(({ price }, i) => ({ day: days[i % 3], price: price + 9 * (i % 3) }));
  const { id } = await training.service.upload(csvOf(rows));
  const { id: dated } = await training.trained({
    data: { dataset: id, target: "price", columns: { day: "categorical" }, unseen: "zeros" },
    model: { layers: [linear()] },
    loss: { type: "mse" },
  });
  const predicted = async (texts: readonly string[]) =>
    field((await training.predict(dated, { rows: texts.map((day) => ({ day })) })).predictions, "value");
  const values = await predicted(["2023-12-31T00:00:00.000Z", "2024-01-02T00:00:00.000Z", "2024-01-02T18:00:00.000Z"]);
  expect(new Set([...values, ...(await predicted(["2022-01-01"]))]).size).toBe(4);
  expect(await predicted(days)).toEqual(values);
  expect(await predicted(["2023-12-31", "2024-01-02", "2024-01-02 18:00"])).toEqual(values);
  const posted = await training.service.call("POST", `/v1/jobs/${dated}/predictions`, { body: { dataset: id } });
  for (;;) {
    const { body } = await training.service.call("GET", posted.headers.location);
    if (body.finished_at !== null) break;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const { text } = await training.service.call("GET", `${posted.headers.location}/result`);
  expect(text.split("\n").slice(1, 4)).toEqual(values.map(String));
});

test("has the best weights too", async () => {
  const best = await training.predict(job.id, { rows: ROWS, which: "best" });
  const model = await training.service.call("GET", `/v1/jobs/${job.id}/model?which=best`);
  expect(model.headers.etag).toBe(`"${best.weights_sha256}"`);
});

test.each<[unknown, string, RegExp]>([
  [{ rows: [ROWS[0], { ...ROWS[1], x: undefined }] }, "/rows/1/x", /is required/],
  [{ rows: [{ ...ROWS[1], x: "abc" }] }, "/rows/0/x", /"abc", which is no number/],
  [{ rows: [{ ...ROWS[1], x: "1,5" }] }, "/rows/0/x", /decimal point/],
  [{ rows: [{ ...ROWS[1], x: true }] }, "/rows/0/x", /must be a number, not true/],
  [{ rows: [{ ...ROWS[1], x: { toString: 1 } }] }, "/rows/0/x", /must be/],
  [{ rows: [{ ...ROWS[1], x: null }] }, "/rows/0/x", /is missing/],
  [{ rows: [{ ...ROWS[1], x: "NaN" }] }, "/rows/0/x", /is missing/],
  [{ rows: [{ ...ROWS[1], x: 1e300 }] }, "/rows/0/x", /too large/],
  [{ rows: [{ ...ROWS[1], when: "2024-02-31" }] }, "/rows/0/when", /no date/],
  [{ rows: [{ ...ROWS[1], when: "03.04.2024" }] }, "/rows/0/when", /its day or its month first/],
  [{ rows: [{ ...ROWS[1], when: 20240101 }] }, "/rows/0/when", /must be a date/],
  [{ rows: [{ ...ROWS[1], colour: "purple" }] }, "/rows/0/colour", /"purple".*"blue", "green", "red"/],
  [{ rows: [{ ...ROWS[1], colour: "" }] }, "/rows/0/colour", /is missing/],
  [{ rows: [{ ...ROWS[1], colour: ["red"] }] }, "/rows/0/colour", /must be a class/],
  [{ rows: [ROWS[0], 5] }, "/rows/1", /must be an object/],
  [{ rows: [] }, "/rows", /at least 1/],
  [{ rows: Array.from({ length: 10_001 }, () => ({})) }, "/rows", /at most 10000 items, not 10001/],
  [{ rows: [ROWS[0]], inputs: [[1]] }, "", /exactly one of rows, inputs/],
  [{}, "", /exactly one of rows, inputs/],
  [{ inputs: [[1, 2]] }, "/inputs", /send rows/],
  [{ rows: [ROWS[0]], which: "worst" }, "/which", /"final", "best"/],
  [{ row: [ROWS[0]] }, "/row", /rows/],
])("%# refuses what it cannot read, by name", async (body, pointer, message) => {
  const { status, body: problem } = await training.ask(job.id, body);
  expect([status, problem.code]).toEqual([422, "invalid_spec"]);
  expect(problem.errors[0]).toEqual({ pointer, message: expect.stringMatching(message) });
});

test("tells all faults at once, and only the first hundred", async () => {
  const { body } = await training.ask(job.id, {
    rows: ROWS.map(({ old, ...row }) => ({ ...row, x: "?", colour: old })),
  });
  expect(body.errors).toHaveLength(100);
  expect(body.detail).toMatch(/at least 99 more/);
});

test("refuses a CSV that is none", async () => {
  const ragged = await training.askCsv(job.id, "x,when,colour,old\n1,2024-01-01,red,no\n1,2");
  expect([ragged.status, ragged.body.code, ragged.body.line]).toEqual([422, "invalid_dataset", 3]);
  const { body } = await training.askCsv(job.id, "x,when,colour\n1,2024-01-01,red\n?,2024-01-01,red");
  expect(body.errors.map(({ pointer }: { pointer: string }) => pointer)).toEqual([
    "/rows/1/x",
    "/rows/0/old",
    "/rows/1/old",
  ]);
});

test("refuses other bodies", async () => {
  const send = (type: string, body: string) =>
    training.service.call("POST", `/v1/jobs/${job.id}/predict`, { body, headers: { "content-type": type } });
  expect((await send("application/json", "{")).body.code).toBe("malformed_json");
  expect((await send("application/json", "")).body.code).toBe("malformed_json");
  expect((await send("text/plain", "x")).status).toBe(415);
  expect((await send("text/csv", "x".repeat(16 * 2 ** 20 + 1))).status).toBe(413);
});

test("clients that close their connections give up their places", async () => {
  const rows = Array.from({ length: 40 }, (_, i) => `${i / 40},${"ab"[i % 2]}`);
  const wide = await training.trained({
    data: { dataset: (await training.service.upload(["x,label", ...rows].join("\n"))).id, target: "label" },
    model: { layers: [linear(1024), linear(1024), linear()] },
    optimizer: { type: "sgd", lr: 0.01 },
    training: { epochs: 1, batch_size: "full" },
  });
  const { port } = training.service.app.server.address() as AddressInfo;
  const body = JSON.stringify({ rows: Array.from({ length: 10_000 }, () => ({ x: 0.5 })) });
  const head = `POST /v1/jobs/${wide.id}/predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`;
  const before = await predictedRows();
  // One is worked on, and the others wait.
  const sockets = Array.from({ length: MAX_WAITING + 1 }, () =>
    connect(port, "127.0.0.1").on("error", () => undefined),
  );
  for (const socket of sockets) socket.write(head + body);
  const one = { rows: [{ x: 0.5 }] };
  await expect.poll(async () => (await training.ask(wide.id, one)).status, { timeout: 20_000 }).toBe(503);
  for (const socket of sockets) socket.destroy();
  await expect.poll(async () => (await training.ask(wide.id, one)).status, { timeout: 20_000 }).toBe(200);
  // Most of their work was not done.
  expect((await predictedRows()) - before).toBeLessThan((sockets.length / 2) * 10_000);
});

async function predictedRows(): Promise<number> {
  return (await meters.predictedRows.get()).values[0].value;
}

test("needs a job that has succeeded and is still there", async () => {
  const waiting = await training.service.create({
    data: { dataset, target: "label", features: ["x"] },
    model: { layers: [linear()] },
    loss: { type: "cross_entropy" },
    optimizer: { type: "sgd", lr: 0.1 },
    training: { epochs: 100_000, batch_size: 1 },
  });
  const early = await training.ask(waiting.id, { rows: [{ x: 1 }] });
  expect([early.status, early.body.code]).toEqual([409, "wrong_status"]);
  await training.service.call("POST", `/v1/jobs/${waiting.id}/cancel`);
  const short = await training.trained({
    data: { dataset, features, target: "label" },
    training: { epochs: 1, batch_size: 9 },
  });
  await training.predict(short.id, { rows: ROWS });
  expect((await training.ask(short.id, { rows: ROWS, which: "best" })).status).toBe(404);
  await training.service.call("DELETE", `/v1/jobs/${short.id}`);
  expect((await training.ask(short.id, { rows: ROWS })).status).toBe(404);
});

test("has numbers in the units of the target", async () => {
  const one = await training.trained({
    data: { dataset, features, target: "price", validation: { every: 5 } },
    loss: { type: "mse" },
  });
  const values = field((await training.predict(one.id, { rows: VALID })).predictions, "value") as number[];
  const mean = values.reduce((sum, value, i) => sum + Math.abs(value - VALID[i].price), 0) / values.length;
  expect(mean).toBeCloseTo(one.result!.metrics.valid_mae!, 5);

  const target = ["price", "weight"];
  const two = await training.trained({
    data: { dataset, features, target, validation: { every: 5 } },
    loss: { type: "l1" },
  });
  const both = field((await training.predict(two.id, { rows: VALID })).predictions, "values") as Record<
    string,
    number
  >[];
  expect(both.map((values) => Object.keys(values))).toEqual(VALID.map(() => target));
  const errors = both.flatMap((row, i) => [row.price - VALID[i].price, row.weight - VALID[i].weight]);
  expect(errors.reduce((sum, error) => sum + Math.abs(error), 0) / errors.length).toBeCloseTo(
    two.result!.metrics.valid_mae!,
    5,
  );
});

test("says yes and no with a probability", async () => {
  const yesOrNo = await training.trained({
    data: { dataset, features, target: "flag", validation: { every: 5 } },
    loss: { type: "bce_with_logits" },
  });
  const { predictions } = await training.predict(yesOrNo.id, { rows: VALID });
  const right = field(predictions, "class").filter((label, i) => label === String(VALID[i].flag));
  expect(right.length / VALID.length).toBe(yesOrNo.result!.metrics.valid_accuracy);
  const losses = field(predictions, "probabilities").map((p, i) => -Math.log((p as number[])[VALID[i].flag]));
  expect(losses.reduce((sum, term) => sum + term) / losses.length).toBeCloseTo(yesOrNo.result!.metrics.valid_loss!, 6);
});

test("says yes and no in the words of the column", async () => {
  const job = await training.trained({
    data: { dataset, features: ["x", "colour"], target: "old", validation: { every: 5 } },
    loss: { type: "bce_with_logits" },
  });
  const { predictions } = await training.predict(job.id, { rows: VALID });
  const right = field(predictions, "class").filter((label, i) => label === VALID[i].old);
  expect(right.length / VALID.length).toBe(job.result!.metrics.valid_accuracy);
  expect(Object.keys(field(predictions, "probabilities")[0] as object)).toEqual(["no", "yes"]);
});

test("reads cells of classes as the dataset's were", async () => {
  const rows = Array.from({ length: 60 }, (_, i) => ({
    flag: ["true", "false", "true", "NA"][(i * 7) % 4],
    zip: ["10", "20", "20", "NA"][(i * 3) % 4],
    code: ["007", "10", "10", "None"][(i * 11) % 4],
    label: "ab"[i % 2],
  }));
  const { id } = await training.trained({
    data: {
      dataset: (await training.service.upload(csvOf(rows))).id,
      target: "label",
      columns: { zip: "categorical" },
      preprocess: { missing: "most_frequent" },
      unseen: "zeros",
    },
  });
  const row = { flag: "true", zip: "20", code: "10" };
  const one = async (changes: object) =>
    (await training.predict(id, { rows: [{ ...row, ...changes }] })).predictions[0];
  // These words are missing cells where all others are numbers, or all true and false.
  for (const changes of [{ flag: "NA" }, { flag: null }, { zip: "NA" }, { code: "None" }, { code: null }])
    expect(await one(changes), JSON.stringify(changes)).toEqual(await one({}));
  // Among numbers a text is read as one. A code is none, nor is anything among codes.
  expect(await one({ zip: "20.0" })).toEqual(await one({}));
  for (const [column, cell] of [
    ["zip", "020"],
    ["code", "10.0"],
    ["code", "7"],
  ])
    expect(await one({ [column]: cell }), cell).toEqual(await one({ [column]: "unknown" }));
});

test.each([
  ["true", "false", "True", "false"],
  ["TRUE", "FALSE", "true", "FALSE"],
  ["yes", "no", " Yes", "NO"],
])("takes %s and %s in any case, as %s and %s", async (yes, no, ...cells) => {
  const rows = Array.from({ length: 40 }, (_, i) => ({ flag: [yes, no][(i >> 1) % 2], label: "ab"[i % 2] }));
  const { id } = await training.trained({
    data: { dataset: (await training.service.upload(csvOf(rows))).id, target: "label" },
  });
  const { predictions } = await training.predict(id, { rows: [yes, no, ...cells].map((flag) => ({ flag })) });
  expect(predictions.slice(2)).toEqual(predictions.slice(0, 2));
  expect(predictions[0]).not.toEqual(predictions[1]);
  const other = await training.ask(id, { rows: [{ flag: yes === "yes" ? "true" : "yes" }, { flag: "t" }] });
  expect(other.body.errors.map(({ pointer }: { pointer: string }) => pointer)).toEqual([
    "/rows/0/flag",
    "/rows/1/flag",
  ]);
});

test("keeps words apart that differ in nothing but their case", async () => {
  const rows = Array.from({ length: 60 }, (_, i) => ({ flag: ["yes", "YES", "no"][(i >> 1) % 3], label: "ab"[i % 2] }));
  const { id } = await training.trained({
    data: { dataset: (await training.service.upload(csvOf(rows))).id, target: "label" },
  });
  const { predictions } = await training.predict(id, { rows: [{ flag: "yes" }, { flag: "YES" }] });
  expect(predictions[0]).not.toEqual(predictions[1]);
  expect((await training.ask(id, { rows: [{ flag: "Yes" }] })).body.errors[0].pointer).toBe("/rows/0/flag");
});

test.each([
  ["month", (month: string, day: string) => `${month}/${day}/2024`, {}],
  ["day", (month: string, day: string) => `${day}.${month}.2024`, {}],
  ["month", (month: string, day: string) => `${month}-${day}-2024`, { placed: "categorical" }],
])("reads dates with the %s first as the dataset's were", async (first, written, columns) => {
  const two = (number: number) => String(number).padStart(2, "0");
  const rows = Array.from({ length: 60 }, (_, i) => ({
    placed: written(two(1 + (i % 12)), two(1 + ((i * 7) % 28))),
    label: "ab"[i % 2],
  }));
  const query = `?columns=${encodeURIComponent(JSON.stringify(columns))}`;
  const headers = { "content-type": "text/csv" };
  const { body } = await training.service.call("POST", `/v1/datasets${query}`, { body: csvOf(rows), headers });
  const { id } = await training.trained({
    data: { dataset: body.id, target: "label", columns: { placed: "date" } },
  });
  const cells = ["2024-03-04", written("03", "04"), "2024-03-25", written("03", "25")];
  const { predictions } = await training.predict(id, { rows: cells.map((placed) => ({ placed })) });
  expect([predictions[1], predictions[3]]).toEqual([predictions[0], predictions[2]]);
  const lines = ["placed", ...cells].join("\n");
  expect(((await training.askCsv(id, lines)).body as Predictions).predictions).toEqual(predictions);
  const other = await training.ask(id, { rows: [{ placed: written("25", "03") }] });
  expect(other.body.errors[0].message).toMatch(new RegExp(`the dataset's dates their ${first}`));
});

test("fills what is missing where the job did", async () => {
  const rows = ROWS.map(({ x, colour, label }, i) =>
    i % 9 === 4 ? { x: "", colour: "", label } : { x: String(x).replace(".", ","), colour, label },
  );
  const { id } = await training.service.upload(csvOf(rows, ";"));
  const preprocess = { missing: "mean", missing_indicator: true };
  const filled = await training.trained({
    data: { dataset: id, features: ["x", "colour"], target: "label", preprocess },
  });
  const { predictions } = await training.predict(filled.id, {
    rows: [
      { x: null, colour: null },
      { x: "0,25", colour: "red" },
    ],
  });
  expect(predictions).toHaveLength(2);
  // The job's dataset has decimal commas and semicolons, so its rows do.
  const csv = await training.askCsv(filled.id, "x;colour\n;\n0,25;red");
  expect((csv.body as Predictions).predictions).toEqual(predictions);
  expect((await training.ask(filled.id, { rows: [{ x: "0.25", colour: "red" }] })).body.errors[0].message).toMatch(
    /decimal comma/,
  );
});
