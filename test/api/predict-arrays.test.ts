// Predictions from arrays.
import { afterAll, beforeAll, expect, test } from "vitest";
import { floats, longs, npy, zip } from "../data/tensors/files.ts";
import { field, linear, startTraining } from "./trained.ts";

let training: Awaited<ReturnType<typeof startTraining>>;
beforeAll(async () => {
  training = await startTraining();
});
afterAll(() => training.stop());

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
  dataset = ((await training.service.call("POST", "/v1/datasets", { body, headers })).body as { id: string }).id;
});

const sample = (i: number) => [0, 1].map((y) => images.slice(i * 6 + y * 3, i * 6 + y * 3 + 3));

test("are inputs in any nesting of their shape, and cells of rows", async () => {
  const layers = [{ type: "conv2d", out_channels: 3, kernel_size: 2 }, { type: "flatten" }, linear()];
  const data = { dataset, features: ["image"], shape: [1, 2, 3], target: "digit", validation: { every: 4 } };
  const job = await training.trained({ data, model: { layers } });
  const inputs = Array.from({ length: 24 }, (_, i) => sample(i));
  const all = await training.predict(job.id, { inputs });
  const right = field(all.predictions, "class").filter((digit, i) => i % 4 === 0 && digit === String(words[i]));
  expect(right.length / 6).toBe(job.result!.metrics.valid_accuracy);
  expect(await training.predict(job.id, { inputs: inputs.map((image) => image.flat()) })).toEqual(all);
  expect(await training.predict(job.id, { inputs: inputs.map((image) => [image]) })).toEqual(all);
  expect(await training.predict(job.id, { rows: inputs.map((image) => ({ image })) })).toEqual(all);

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
    // An object that cannot be made a text or a number.
    [
      {
        inputs: [
          [
            [1, 2, 3],
            [1, { toString: 1 }, 3],
          ],
        ],
      },
      "/inputs/0/1/1",
      /must be a number, not \{"toString":1\}/,
    ],
    [{ inputs: [7] }, "/inputs/0", /is 7, but the model takes 1 × 2 × 3/],
    [{ rows: [{ image: [] }] }, "/rows/0/image", /array of 0/],
    [{ rows: [{}] }, "/rows/0/image", /is required/],
  ];
  for (const [body, pointer, message] of faults) {
    const { status, body: problem } = await training.ask(job.id, body);
    expect([status, problem.errors?.[0]]).toEqual([422, { pointer, message: expect.stringMatching(message) }]);
  }
});

test("of a dataset with the dimensions in another order are refused, and other shapes are taken", async () => {
  const upload = async (shape: number[]) => {
    const body = zip({
      "image.npy": npy({ descr: "<f4", shape: [24, ...shape], data: floats(...images) }),
      "digit.npy": npy({ descr: "<i8", shape: [24], data: longs(...words.slice(0, 24)) }),
    });
    return (await training.service.call("POST", "/v1/datasets", { body })).body.id as string;
  };
  const data = { dataset, features: ["image"], shape: [1, 2, 3], target: "digit", validation: { every: 4 } };
  const spec = { data, model: { layers: [{ type: "flatten" }, linear()] } };
  const { id } = await training.trained(spec);
  const flat = await upload([6]);
  const turned = await upload([3, 2]);
  const from = async (dataset: string) => {
    const answers = [
      await training.service.call("POST", `/v1/jobs/${id}/predictions`, { body: { dataset } }),
      await training.service.call("POST", `/v1/jobs/${id}/fork`, {
        body: { step: "final", optimizer: false, overrides: { data: { dataset } } },
      }),
    ];
    return answers.map(({ status, body }) => [status, body.errors?.[0].message]);
  };
  expect(await from(flat)).toEqual([
    [201, undefined],
    [201, undefined],
  ]);
  expect(await from(turned)).toEqual([
    [422, 'has the column "image", whose cells are 3 × 2, and the model takes 1 × 2 × 3: the model predicts from it'],
    [422, 'takes "image", which has arrays of 3 × 2, and the model takes 1 × 2 × 3'],
  ]);
});

test("of whole numbers have a class for each position", async () => {
  const layers = [{ type: "embedding", embedding_dim: 5 }, { type: "lstm", hidden_size: 4, output: "all" }, linear()];
  const data = { dataset, features: ["word"], target: "next", validation: { every: 4 } };
  const job = await training.trained({ data, model: { layers } });
  const inputs = Array.from({ length: 24 }, (_, i) => words.slice(i * 4, i * 4 + 4));
  const { predictions } = await training.predict(job.id, { inputs });
  const right = field(predictions, "class").flatMap((labels, i) =>
    i % 4 === 0 ? (labels as string[]).filter((label, t) => Number(label) === words[i * 4 + t] % 5) : [],
  );
  expect(right.length / 24).toBe(job.result!.metrics.valid_accuracy);
  const { probabilities } = predictions[0] as { probabilities: Record<string, number>[] };
  expect(probabilities.map((one) => Object.keys(one))).toEqual(Array.from({ length: 4 }, () => ["0", "1", "2"]));
  for (const token of [7, -1, 1.5]) {
    const { body } = await training.ask(job.id, { inputs: [[0, 1, token, 2]] });
    expect(body.errors).toEqual([
      { pointer: "/inputs/0/2", message: `is ${token}; the model knows the whole numbers from 0 to 6` },
    ]);
  }
});

test("are predicted as arrays", async () => {
  const layers = [{ type: "flatten" }, linear(6), { type: "reshape", shape: [2, 3] }];
  const data = { dataset, features: ["image"], target: "image" };
  const job = await training.trained({ data, model: { layers }, loss: { type: "mse" } });
  const { predictions } = await training.predict(job.id, { inputs: [sample(3)] });
  const [value] = field(predictions, "value") as number[][][];
  expect(value.map((line) => line.length)).toEqual([3, 3]);
});
