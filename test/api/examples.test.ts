/**
 * Examples of networks learn what only their kind can. Each is uploaded, posted and trained as a
 * client would do it, and compared with a model of another kind on the same data.
 */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Job } from "../../src/contract/wire/job.ts";
import { ended, startProcess, type WorkerProcess } from "../worker/support.ts";
import { startService, type Service } from "./service.ts";

let service: Service;
let worker: WorkerProcess;

beforeAll(async () => {
  service = await startService();
  worker = await startProcess({ REDIS_URL: service.redis.url, DATA_DIR: service.directory });
});
afterAll(async () => {
  worker.kill("SIGKILL");
  await worker.exited;
  await service.stop();
});

interface Spec {
  readonly data: object;
  readonly model: { readonly layers: readonly object[] };
}

const example = (name: string): Spec => JSON.parse(readFileSync(`examples/${name}.json`, "utf8"));

/** The metrics of an example's model, or of other layers in its place. */
async function metricsOf(name: string, file: string, layers?: readonly object[]): Promise<Record<string, number>> {
  const body = readFileSync(`examples/${file}`);
  const headers = { "content-type": file.endsWith(".csv") ? "text/csv" : "application/octet-stream" };
  const { body: dataset } = await service.call("POST", "/v1/datasets", { body, headers });
  const spec = example(name);
  const data = { ...spec.data, dataset: dataset.id };
  const { id } = await service.create({ ...spec, data, model: { layers: layers ?? spec.model.layers } });
  const get = async () => (await service.call("GET", `/v1/jobs/${id}`)).body as Job;
  await expect.poll(async () => ended(await get()), { timeout: 50_000 }).toBe(true);
  const { status, error, result } = await get();
  expect([status, error]).toEqual(["succeeded", null]);
  return result!.metrics as Record<string, number>;
}

test("a convolutional net learns the digits", async () => {
  expect((await metricsOf("digits-cnn", "digits.npz")).valid_accuracy).toBeGreaterThanOrEqual(0.975);
});

test("vectors of stations learn where they lie, which one-hot columns do not", async () => {
  const [, ...rest] = example("trips-columns").model.layers;
  const vectors = await metricsOf("trips-columns", "trips.csv");
  const oneHot = await metricsOf("trips-columns", "trips.csv", rest);
  expect(vectors.valid_r2).toBeGreaterThan(0.95);
  expect(vectors.valid_r2 - oneHot.valid_r2).toBeGreaterThan(0.05);
});

test("an lstm under rmsprop learns which of two events came first", async () => {
  const lstm = await metricsOf("events-lstm", "events.npz");
  const linear = (out_features?: number) => ({ type: "linear", out_features });
  // The mean over time is the same whatever the order.
  const unordered = [{ type: "mean", dim: 0 }, linear(12), { type: "relu" }, linear()];
  const mean = await metricsOf("events-lstm", "events.npz", unordered);
  expect(lstm.valid_accuracy - mean.valid_accuracy).toBeGreaterThan(0.15);
});

test("a small transformer learns what no table of pairs knows", async () => {
  const transformer = await metricsOf("tokens-transformer", "tokens.npz");
  const [tokens] = example("tokens-transformer").model.layers;
  // What follows a token, whatever was before it.
  const bigram = await metricsOf("tokens-transformer", "tokens.npz", [tokens, { type: "linear" }]);
  expect(bigram.valid_loss - transformer.valid_loss).toBeGreaterThan(0.3);
});

test("an autoencoder keeps more of a digit in ten numbers than principal components do", async () => {
  const { valid_r2 } = await metricsOf("digits-autoencoder", "digits.npz");
  // The first ten components of the rows that train, by a singular value decomposition.
  expect(valid_r2).toBeGreaterThan(0.73);
});

test("an lstm reads from a review whether a guest comes again", async () => {
  const lstm = await metricsOf("reviews-lstm", "reviews.csv");
  // 53 % of all guests do.
  expect(lstm.valid_accuracy).toBeGreaterThan(0.85);
  const [tokens, , last] = example("reviews-lstm").model.layers;
  // The mean does not know which word "not" stands before.
  const mean = await metricsOf("reviews-lstm", "reviews.csv", [tokens, { type: "mean", dim: 0 }, last]);
  expect(lstm.valid_accuracy - mean.valid_accuracy).toBeGreaterThan(0.1);
});
