/** Jobs over arrays: what their specs resolve to, and that they train. */
import { Readable } from "node:stream";
import { expect, test } from "vitest";
import { encode } from "../../../src/data/encode/encoding-cache.ts";
import { Crew } from "../../../src/engine/crew/crew.ts";
import { targetsOf } from "../../../src/engine/losses/targets.ts";
import { takenBy } from "../../../src/engine/plan/taken.ts";
import { Problem } from "../../../src/contract/errors.ts";
import { resolveSpec } from "../../../src/contract/resolve/resolve.ts";
import type { Dataset } from "../../../src/contract/wire/dataset.ts";
import { datasetFiles, LIMIT_BYTES } from "../../data/support.ts";
import { floats, longs, npy, zip } from "../../data/tensors/files.ts";
import { ingest } from "../../support/datasets.ts";
import { noOtherJobs } from "../../support/contexts.ts";

const id = "ds_01k3w9d0c8v6m2q4r7t5x1y9za";
const ROWS = 24;
const counts = Array.from({ length: ROWS * 4 }, (_, i) => i);
const token = (i: number) => (7 * i + (i >> 2)) % 10;
const file = zip({
  // A tag says whether its token is odd.
  "tokens.npy": npy({ descr: "<i8", shape: [ROWS, 4], data: longs(...counts.map((i) => token(i))) }),
  "tags.npy": npy({ descr: "<i8", shape: [ROWS, 4], data: longs(...counts.map((i) => 3 + (token(i) % 2))) }),
  "signal.npy": npy({ descr: "<f4", shape: [ROWS, 4], data: floats(...counts.map((i) => Math.sin(i))) }),
  // A point of the mask says whether that of the picture is positive.
  "picture.npy": npy({ descr: "<f4", shape: [ROWS, 1, 1, 4], data: floats(...counts.map((i) => Math.sin(i))) }),
  "mask.npy": npy({ descr: "|u1", shape: [ROWS, 1, 4], data: Buffer.from(counts.map((i) => +(Math.sin(i) > 0))) }),
  "a.npy": npy({ descr: "<f4", shape: [ROWS], data: floats(...counts.slice(0, ROWS).map((i) => Math.sin(4 * i))) }),
  "b.npy": npy({ descr: "<f8", shape: [ROWS], data: Buffer.from(new Float64Array(counts.slice(0, ROWS)).buffer) }),
});

async function resolved(spec: object) {
  const { files } = await datasetFiles();
  const content = await ingest(files, Readable.from([file]), LIMIT_BYTES);
  const record: Dataset = { id, name: null, created_at: "2026-11-22T00:00:00.000Z", ...content };
  const limits = { maxMemoryBytes: 2 ** 28, maxStateBytes: 2 ** 24 };
  const context = {
    dataset: async () => record,
    files,
    ...limits,
    ...noOtherJobs,
    webhookFaults: () => [],
  };
  return { ...(await resolveSpec(spec, context)), path: files.columnsPath(content) };
}

async function metricsOf({ spec, path }: Awaited<ReturnType<typeof resolved>>) {
  const { data } = await encode(path, spec.data, targetsOf(spec.loss), takenBy(spec.model.layers));
  const ignore = () => undefined;
  const start = { threads: 2, everySteps: null, state: null };
  const watcher = { log: ignore, evaluated: ignore, snapshot: ignore };
  const crew = await Crew.start({ ...spec, keepBest: false, data }, start, watcher);
  const outcome = await crew.run();
  if (outcome.type !== "completed") throw new Error(`The training ended as ${outcome.type}.`);
  return outcome.metrics;
}

const adam = { type: "adam", lr: 0.05 };
const job = (data: object, layers: object[], loss: string) => ({
  data: { dataset: id, validation: { every: 4 }, ...data },
  model: { layers },
  loss: { type: loss },
  optimizer: adam,
  training: { epochs: 30, batch_size: 8 },
});

test("an embedding takes whole numbers, and each position has a class", async () => {
  const layers = [{ type: "embedding", embedding_dim: 4 }, { type: "linear" }];
  const made = await resolved(job({ features: ["tokens"], target: "tags" }, layers, "cross_entropy"));
  expect(made.spec.model.layers).toMatchObject([{ num_embeddings: 10 }, { in_features: 4, out_features: 2 }]);
  expect(made.spec.data).toMatchObject({ features: ["tokens"], target: "tags", preprocess: { tensor: "auto" } });
  expect((await metricsOf(made)).valid_accuracy).toBe(1);
});

test("each point of an image has a class", async () => {
  const convolution = { type: "conv2d", out_channels: 2, kernel_size: 1 };
  const turn = { type: "permute", dims: [1, 2, 0] };
  const data = { features: ["picture"], target: "mask" };
  const made = await resolved(job(data, [convolution, turn], "cross_entropy"));
  expect((await metricsOf(made)).valid_accuracy).toBeGreaterThan(0.95);
  const { spec } = await resolved(job(data, [convolution, turn, { type: "linear" }], "cross_entropy"));
  expect(spec.model.layers).toMatchObject([{}, {}, { in_features: 2, out_features: 2 }]);
});

test("several columns are predicted at once", async () => {
  const made = await resolved(job({ features: ["signal"], target: ["a", "b"] }, [{ type: "linear" }], "mse"));
  expect(made.spec.model.layers).toMatchObject([{ out_features: 2 }]);
  const metrics = await metricsOf(made);
  // `a` is a feature itself; `b` counts rows and is not, so its errors in its own units are large.
  expect(metrics.valid_mae).toBeGreaterThan(1);
  expect(metrics.valid_mae).toBeLessThan(ROWS / 2);
});

test("an autoencoder predicts what it gets", async () => {
  const made = await resolved(job({ features: ["signal"], target: "signal" }, [{ type: "linear" }], "mse"));
  expect(made.spec.model.layers).toMatchObject([{ in_features: 4, out_features: 4 }]);
  expect((await metricsOf(made)).valid_r2).toBeGreaterThan(0.95);
});

test("what does not fit is a fault with a pointer", async () => {
  const faults = async (spec: object) => {
    const error = await resolved(spec).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(Problem);
    return (error as Problem).members.errors!.map(({ pointer, message }) => `${pointer} ${message}`);
  };
  const linear = [{ type: "linear" }];
  const embedding = [{ type: "embedding", embedding_dim: 4 }, ...linear];
  expect(await faults(job({ features: ["signal"], target: "tags" }, embedding, "cross_entropy"))).toEqual([
    "/model/layers/0 embedding takes int32 values, but its input is float32: give it an integer input",
  ]);
  const convolution = [{ type: "conv2d", out_channels: 2, kernel_size: 1 }];
  expect(await faults(job({ features: ["picture"], target: "mask" }, convolution, "cross_entropy"))).toEqual([
    '/model/layers/0 makes the model give [2, 1, 4], but cross_entropy over 2 classes at each place of [1, 4] wants [1, 4, 2]; the classes come last: end with {"type": "permute", "dims": [1, 2, 0]}',
  ]);
  expect(await faults(job({ features: ["signal"], target: "tags", shape: [2, 3] }, linear, "cross_entropy"))).toEqual([
    "/data/shape holds 6 numbers (2 × 3), but the features give 4 for a row",
  ]);
  expect(await faults(job({ features: ["signal"], target: {} }, linear, "mse"))).toEqual([
    "/data/target must be the name of a column, or a list of 1 to 1000 names",
  ]);
  const own = { features: ["signal"], target: "a", columns: { signal: "categorical" } };
  expect(await faults(job(own, linear, "mse"))).toEqual([
    "/data/columns/signal is categorical, but each row of the column is an array, which has no other type",
  ]);
});

test("a model that ends with probabilities under a loss of scores gets a warning", async () => {
  const tagger = [{ type: "embedding", embedding_dim: 4 }, { type: "linear" }, { type: "softmax" }];
  const { warnings } = await resolved(job({ features: ["tokens"], target: "tags" }, tagger, "cross_entropy"));
  expect(warnings).toMatchObject([{ pointer: "/model/layers/2", code: "unsuited_outputs" }]);
});
