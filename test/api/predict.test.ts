// Predictions of jobs that a real worker trained, over HTTP.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Evaluation } from "../../src/contract/wire/evaluation.ts";
import type { Job } from "../../src/contract/wire/job.ts";
import type { Predictions } from "../../src/contract/wire/prediction.ts";
import { floats, longs, npy, zip } from "../data/tensors/files.ts";
import { ended, startProcess, type WorkerProcess } from "../worker/support.ts";
import { startService, type Service } from "./service.ts";

let service: Service;
let worker: WorkerProcess;

const colours = ["red", "green", "blue"];
const ROWS = Array.from({ length: 60 }, (_, i) => ({
  x: Math.round(1e4 * Math.sin(i)) / 1e4,
  when: new Date(Date.UTC(2024, 0, 1 + i)).toISOString().slice(0, 10),
  colour: colours[(i * 7) % 3],
  old: (i * 5) % 4 === 0 ? "yes" : "no",
  label: ["cat", "dog", "emu"][i % 3],
  flag: Number(i % 2 === 0),
  price: i / 8,
  weight: 3 - (i % 7),
}));
type Row = Record<string, unknown>;
/** The rows that validate. */
const VALID = ROWS.filter((_, i) => i % 5 === 0);

function csvOf(rows: readonly Row[], separator = ","): string {
  const names = Object.keys(rows[0]);
  return [names, ...rows.map((row) => names.map((name) => row[name]))].map((cells) => cells.join(separator)).join("\n");
}

const linear = (outputs?: number) => ({ type: "linear", out_features: outputs });

beforeAll(async () => {
  service = await startService();
  worker = await startProcess({ REDIS_URL: service.redis.url, DATA_DIR: service.directory });
});
afterAll(async () => {
  worker.kill("SIGKILL");
  await worker.exited;
  await service.stop();
});

async function trained(changes: Record<string, unknown>): Promise<Job> {
  const spec = {
    model: { layers: [linear(8), { type: "dropout" }, { type: "batch_norm1d" }, linear()] },
    loss: { type: "cross_entropy" },
    optimizer: { type: "adam", lr: 0.01 },
    training: { epochs: 3, batch_size: 16 },
    ...changes,
  };
  const { id } = await service.create(spec);
  for (;;) {
    const job = (await service.call("GET", `/v1/jobs/${id}`)).body as Job;
    if (job.status === "failed") throw new Error(JSON.stringify(job.error));
    if (ended(job)) return job;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const ask = (id: string, body: unknown, query = "") => service.call("POST", `/v1/jobs/${id}/predict${query}`, { body });

const askCsv = (id: string, body: string) =>
  service.call("POST", `/v1/jobs/${id}/predict`, { body, headers: { "content-type": "text/csv" } });

async function predict(id: string, body: unknown): Promise<Predictions> {
  const answer = await ask(id, body);
  expect(answer.status, answer.text).toBe(200);
  return answer.body as Predictions;
}

const field = (predictions: Predictions["predictions"], name: string) =>
  predictions.map((prediction) => (prediction as Row)[name]);

describe("a table", () => {
  const features = ["x", "when", "colour", "old"];
  let dataset: string;
  let job: Job;
  let all: Predictions;
  beforeAll(async () => {
    dataset = (await service.upload(csvOf(ROWS))).id;
    job = await trained({
      data: { dataset, features, target: "label", validation: { every: 5 } },
      checkpoint: { keep_best: true },
      training: { epochs: 3, batch_size: 16, early_stopping: { metric: "valid_loss", patience: 9 } },
    });
    all = await predict(job.id, { rows: ROWS });
  });

  test("has the classes that the job evaluated, with their probabilities", async () => {
    expect(all.weights_sha256).toBe(job.result!.weights_sha256);
    const predictions = (await predict(job.id, { rows: VALID })).predictions;
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
        expect(await predict(job.id, { rows: [row] })).toEqual({ ...all, predictions: [all.predictions[i]] });
    const csv = await askCsv(job.id, csvOf(ROWS));
    expect(csv.text).toBe((await ask(job.id, { rows: ROWS })).text);
  });

  test("reads texts as cells, and true as a class", async () => {
    const { x, old, ...others } = ROWS[1];
    const [prediction] = (await predict(job.id, { rows: [{ ...others, x: ` ${x} `, old: old === "yes" }] }))
      .predictions;
    expect(prediction).toEqual(all.predictions[1]);
  });

  test("has the best weights too", async () => {
    const best = await predict(job.id, { rows: ROWS, which: "best" });
    const model = await service.call("GET", `/v1/jobs/${job.id}/model?which=best`);
    expect(model.headers.etag).toBe(`"${best.weights_sha256}"`);
  });

  test.each<[unknown, string, RegExp]>([
    [{ rows: [ROWS[0], { ...ROWS[1], x: undefined }] }, "/rows/1/x", /is required/],
    [{ rows: [{ ...ROWS[1], x: "abc" }] }, "/rows/0/x", /"abc", which is no number/],
    [{ rows: [{ ...ROWS[1], x: "1,5" }] }, "/rows/0/x", /decimal point/],
    [{ rows: [{ ...ROWS[1], x: true }] }, "/rows/0/x", /must be a number, not true/],
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
    const { status, body: problem } = await ask(job.id, body);
    expect([status, problem.code]).toEqual([422, "invalid_spec"]);
    expect(problem.errors[0]).toEqual({ pointer, message: expect.stringMatching(message) });
  });

  test("tells all faults at once, and only the first hundred", async () => {
    const { body } = await ask(job.id, { rows: ROWS.map(({ old, ...row }) => ({ ...row, x: "?", colour: old })) });
    expect(body.errors).toHaveLength(100);
    expect(body.detail).toMatch(/at least 99 more/);
  });

  test("refuses a CSV that is none", async () => {
    const ragged = await askCsv(job.id, "x,when,colour,old\n1,2024-01-01,red,no\n1,2");
    expect([ragged.status, ragged.body.code, ragged.body.line]).toEqual([422, "invalid_dataset", 3]);
    const { body } = await askCsv(job.id, "x,when,colour\n1,2024-01-01,red\n?,2024-01-01,red");
    expect(body.errors.map(({ pointer }: { pointer: string }) => pointer)).toEqual([
      "/rows/1/x",
      "/rows/0/old",
      "/rows/1/old",
    ]);
  });

  test("refuses other bodies", async () => {
    const send = (type: string, body: string) =>
      service.call("POST", `/v1/jobs/${job.id}/predict`, { body, headers: { "content-type": type } });
    expect((await send("application/json", "{")).body.code).toBe("malformed_json");
    expect((await send("application/json", "")).body.code).toBe("malformed_json");
    expect((await send("text/plain", "x")).status).toBe(415);
    expect((await send("text/csv", "x".repeat(16 * 2 ** 20 + 1))).status).toBe(413);
  });

  test("needs a job that has succeeded and is still there", async () => {
    const waiting = await service.create({
      data: { dataset, target: "label", features: ["x"] },
      model: { layers: [linear()] },
      loss: { type: "cross_entropy" },
      optimizer: { type: "sgd", lr: 0.1 },
      training: { epochs: 100_000, batch_size: 1 },
    });
    const early = await ask(waiting.id, { rows: [{ x: 1 }] });
    expect([early.status, early.body.code]).toEqual([409, "wrong_status"]);
    await service.call("POST", `/v1/jobs/${waiting.id}/cancel`);
    const short = await trained({
      data: { dataset, features, target: "label" },
      training: { epochs: 1, batch_size: 9 },
    });
    await predict(short.id, { rows: ROWS });
    expect((await ask(short.id, { rows: ROWS, which: "best" })).status).toBe(404);
    await service.call("DELETE", `/v1/jobs/${short.id}`);
    expect((await ask(short.id, { rows: ROWS })).status).toBe(404);
  });

  test("has numbers in the units of the target", async () => {
    const one = await trained({
      data: { dataset, features, target: "price", validation: { every: 5 } },
      loss: { type: "mse" },
    });
    const values = field((await predict(one.id, { rows: VALID })).predictions, "value") as number[];
    const mean = values.reduce((sum, value, i) => sum + Math.abs(value - VALID[i].price), 0) / values.length;
    expect(mean).toBeCloseTo(one.result!.metrics.valid_mae!, 5);

    const target = ["price", "weight"];
    const two = await trained({ data: { dataset, features, target, validation: { every: 5 } }, loss: { type: "l1" } });
    const both = field((await predict(two.id, { rows: VALID })).predictions, "values") as Record<string, number>[];
    expect(both.map((values) => Object.keys(values))).toEqual(VALID.map(() => target));
    const errors = both.flatMap((row, i) => [row.price - VALID[i].price, row.weight - VALID[i].weight]);
    expect(errors.reduce((sum, error) => sum + Math.abs(error), 0) / errors.length).toBeCloseTo(
      two.result!.metrics.valid_mae!,
      5,
    );
  });

  test("was evaluated by class, which stays when the dataset is gone", async () => {
    const extra = (await service.upload(csvOf(ROWS.map((row) => ({ ...row, extra: 1 }))))).id;
    const split = { validation: { every: 5 }, test: { tail: 0.25 } };
    const tested = await trained({ data: { dataset: extra, features, target: "label", ...split } });
    expect((await service.call("DELETE", `/v1/datasets/${extra}`)).status).toBe(204);
    const held = { valid: ROWS.slice(0, 45).filter((_, i) => i % 5 === 0), test: ROWS.slice(45) };
    for (const [which, rows] of Object.entries(held)) {
      const guesses = field((await predict(tested.id, { rows })).predictions, "class");
      const classes = ["cat", "dog", "emu"];
      const confusion = classes.map((label) =>
        classes.map((guess) => rows.filter((row, i) => row.label === label && guesses[i] === guess).length),
      );
      const { status, body } = await service.call("GET", `/v1/jobs/${tested.id}/evaluation?split=${which}`);
      expect(status).toBe(200);
      expect(body).toMatchObject({ job_id: tested.id, split: which, targets: rows.length, confusion, values: null });
      for (const [i, entry] of (body as Evaluation).classes!.entries()) {
        const [found, taken] = [confusion[i].reduce((a, b) => a + b), confusion.reduce((sum, row) => sum + row[i], 0)];
        expect(entry).toMatchObject({ class: classes[i], rows: found, predicted: taken });
        expect(entry.recall).toBe(found === 0 ? null : confusion[i][i] / found);
        expect(entry.precision).toBe(taken === 0 ? null : confusion[i][i] / taken);
      }
    }
    const none = await service.call("GET", `/v1/jobs/${job.id}/evaluation?split=test`);
    expect([none.status, none.body.detail]).toEqual([404, expect.stringContaining("data.test")]);
  });

  test("was evaluated by the errors of each column", async () => {
    const target = ["price", "weight"];
    const validation = { every: 5 };
    const two = await trained({ data: { dataset, features, target, validation }, loss: { type: "mse" } });
    const guesses = field((await predict(two.id, { rows: VALID })).predictions, "values") as Record<string, number>[];
    const { values } = (await service.call("GET", `/v1/jobs/${two.id}/evaluation`)).body as Evaluation;
    for (const [i, column] of target.entries()) {
      const truth = VALID.map((row) => (row as Row)[column] as number);
      const errors = guesses.map((guess, at) => guess[column] - truth[at]).sort((a, b) => a - b);
      const mean = truth.reduce((sum, value) => sum + value) / truth.length;
      const squares = (list: number[]) => list.reduce((sum, value) => sum + value * value, 0);
      expect(values![i].column).toBe(column);
      expect(values![i].r2).toBeCloseTo(1 - squares(errors) / squares(truth.map((value) => value - mean)), 4);
      expect(values![i].rmse).toBeCloseTo(Math.sqrt(squares(errors) / errors.length), 4);
      const { min, p25, p50, max } = values![i].residuals;
      const middle = (errors[5] + errors[6]) / 2;
      for (const [found, expected] of [
        [min, errors[0]],
        [p50, middle],
        [max, errors[11]],
      ])
        expect(found).toBeCloseTo(expected!, 4);
      expect(p25).toBeCloseTo(errors[2] + 0.75 * (errors[3] - errors[2]), 4);
    }
  });

  test("says yes and no with a probability", async () => {
    const yesOrNo = await trained({
      data: { dataset, features, target: "flag", validation: { every: 5 } },
      loss: { type: "bce_with_logits" },
    });
    const { predictions } = await predict(yesOrNo.id, { rows: VALID });
    const right = field(predictions, "class").filter((label, i) => label === String(VALID[i].flag));
    expect(right.length / VALID.length).toBe(yesOrNo.result!.metrics.valid_accuracy);
    const losses = field(predictions, "probabilities").map((p, i) => -Math.log((p as number[])[VALID[i].flag]));
    expect(losses.reduce((sum, term) => sum + term) / losses.length).toBeCloseTo(
      yesOrNo.result!.metrics.valid_loss!,
      6,
    );
  });

  test("fills what is missing where the job did", async () => {
    const rows = ROWS.map(({ x, colour, label }, i) =>
      i % 9 === 4 ? { x: "", colour: "", label } : { x: String(x).replace(".", ","), colour, label },
    );
    const { id } = await service.upload(csvOf(rows, ";"));
    const preprocess = { missing: "mean", missing_indicator: true };
    const filled = await trained({ data: { dataset: id, features: ["x", "colour"], target: "label", preprocess } });
    const { predictions } = await predict(filled.id, {
      rows: [
        { x: null, colour: null },
        { x: "0,25", colour: "red" },
      ],
    });
    expect(predictions).toHaveLength(2);
    // The job's dataset has decimal commas and semicolons, so its rows do.
    const csv = await askCsv(filled.id, "x;colour\n;\n0,25;red");
    expect((csv.body as Predictions).predictions).toEqual(predictions);
    expect((await ask(filled.id, { rows: [{ x: "0.25", colour: "red" }] })).body.errors[0].message).toMatch(
      /decimal comma/,
    );
  });
});

describe("arrays", () => {
  const images = Array.from({ length: 24 * 6 }, (_, i) => Math.fround(Math.sin(i * i)));
  const words = Array.from({ length: 24 * 4 }, (_, i) => (i * i + i) % 7);
  let dataset: string;
  beforeAll(async () => {
    const body = zip({
      "image.npy": npy({ descr: "<f4", shape: [24, 2, 3], data: floats(...images) }),
      "word.npy": npy({ descr: "<i8", shape: [24, 4], data: longs(...words) }),
      "next.npy": npy({ descr: "<i8", shape: [24, 4], data: longs(...words.map((word) => word % 5)) }),
      "digit.npy": npy({ descr: "<i8", shape: [24], data: longs(...words.slice(0, 24)) }),
    });
    const headers = { "content-type": "application/zip" };
    dataset = ((await service.call("POST", "/v1/datasets", { body, headers })).body as { id: string }).id;
  });

  const sample = (i: number) => [0, 1].map((y) => images.slice(i * 6 + y * 3, i * 6 + y * 3 + 3));

  test("are inputs in any nesting of their shape, and cells of rows", async () => {
    const layers = [{ type: "conv2d", out_channels: 3, kernel_size: 2 }, { type: "flatten" }, linear()];
    const data = { dataset, features: ["image"], shape: [1, 2, 3], target: "digit", validation: { every: 4 } };
    const job = await trained({ data, model: { layers } });
    const inputs = Array.from({ length: 24 }, (_, i) => sample(i));
    const all = await predict(job.id, { inputs });
    const right = field(all.predictions, "class").filter((digit, i) => i % 4 === 0 && digit === String(words[i]));
    expect(right.length / 6).toBe(job.result!.metrics.valid_accuracy);
    expect(await predict(job.id, { inputs: inputs.map((image) => image.flat()) })).toEqual(all);
    expect(await predict(job.id, { inputs: inputs.map((image) => [image]) })).toEqual(all);
    expect(await predict(job.id, { rows: inputs.map((image) => ({ image })) })).toEqual(all);

    const faults: [unknown, string, RegExp][] = [
      [{ inputs: [sample(0), [[1, 2], [3]]] }, "/inputs/1", /array of 2 × 2, but the model takes 1 × 2 × 3/],
      [
        {
          inputs: [
            [
              [1, 2, 3],
              [1, 2],
            ],
          ],
        },
        "/inputs/0/1",
        /has 2 items; the arrays beside it have 3/,
      ],
      [
        {
          inputs: [
            [
              [1, 2, 3],
              [1, "2", 3],
            ],
          ],
        },
        "/inputs/0/1/1",
        /must be a number, not "2"/,
      ],
      [
        {
          inputs: [
            [
              [1, 2, 3],
              [1, null, 3],
            ],
          ],
        },
        "/inputs/0/1/1",
        /must be a number, not null/,
      ],
      [{ inputs: [7] }, "/inputs/0", /is 7, but the model takes 1 × 2 × 3/],
      [{ rows: [{ image: [] }] }, "/rows/0/image", /array of 0/],
      [{ rows: [{}] }, "/rows/0/image", /is required/],
    ];
    for (const [body, pointer, message] of faults) {
      const { status, body: problem } = await ask(job.id, body);
      expect([status, problem.errors?.[0]]).toEqual([422, { pointer, message: expect.stringMatching(message) }]);
    }
  });

  test("of whole numbers have a class for each position", async () => {
    const layers = [{ type: "embedding", embedding_dim: 5 }, { type: "lstm", hidden_size: 4, output: "all" }, linear()];
    const data = { dataset, features: ["word"], target: "next", validation: { every: 4 } };
    const job = await trained({ data, model: { layers } });
    const inputs = Array.from({ length: 24 }, (_, i) => words.slice(i * 4, i * 4 + 4));
    const { predictions } = await predict(job.id, { inputs });
    const right = field(predictions, "class").flatMap((labels, i) =>
      i % 4 === 0 ? (labels as string[]).filter((label, t) => Number(label) === words[i * 4 + t] % 5) : [],
    );
    expect(right.length / 24).toBe(job.result!.metrics.valid_accuracy);
    const { probabilities } = predictions[0] as { probabilities: Record<string, number>[] };
    expect(probabilities.map((one) => Object.keys(one))).toEqual(Array.from({ length: 4 }, () => ["0", "1", "2"]));
    for (const token of [7, -1, 1.5]) {
      const { body } = await ask(job.id, { inputs: [[0, 1, token, 2]] });
      expect(body.errors).toEqual([
        { pointer: "/inputs/0/2", message: `is ${token}; the model knows the whole numbers from 0 to 6` },
      ]);
    }
  });

  test("are predicted as arrays", async () => {
    const layers = [{ type: "flatten" }, linear(6), { type: "reshape", shape: [2, 3] }];
    const data = { dataset, features: ["image"], target: "image" };
    const job = await trained({ data, model: { layers }, loss: { type: "mse" } });
    const { predictions } = await predict(job.id, { inputs: [sample(3)] });
    const [value] = field(predictions, "value") as number[][][];
    expect(value.map((line) => line.length)).toEqual([3, 3]);
  });
});
