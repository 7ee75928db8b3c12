/** A model of language, from the upload of a text to its model. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Job } from "../../src/contract/wire/job.ts";
import { bigramLoss, sentences } from "../support/language.ts";
import { ended, startProcess, type WorkerProcess } from "../worker/support.ts";
import { startService, type Service } from "./service.ts";

let service: Service;
let worker: WorkerProcess;
const text = sentences(40_000);

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
    target: "next_token",
    text: { context: 32, vocabulary: "characters" },
    validation: { tail: 0.1 },
  },
  model: {
    layers: [
      { type: "embedding", embedding_dim: 32 },
      { type: "position_embedding" },
      { type: "transformer_encoder_layer", nhead: 2, dim_feedforward: 64, dropout: 0, causal: true, norm_first: true },
      { type: "layer_norm" },
      { type: "linear" },
    ],
  },
  loss: { type: "cross_entropy" },
  optimizer: { type: "adamw", lr: 0.004 },
  training: { epochs: 2, batch_size: 16, seed: 1 },
  resources: { threads: 2 },
});

test("a transformer learns what a model of pairs of characters cannot", async () => {
  const { id } = await service.upload(text, { "content-type": "text/plain" });
  const { body: plan } = await service.call("POST", "/v1/jobs?validate_only=true", { body: spec(id) });
  expect(plan.spec.data).toMatchObject({ features: ["text"], text: { context: 32, stride: 32 } });
  expect(plan.spec.model.layers[0].num_embeddings).toBe(new Set(text).size);
  expect(plan.spec.model.layers[4].out_features).toBe(new Set(text).size);
  const job = await until((await service.create(spec(id))).id);
  expect(job.status).toBe("succeeded");
  const { valid_loss: loss, valid_perplexity: perplexity } = job.result!.metrics as Record<string, number>;
  const bigrams = bigramLoss(text.slice(0, 36_000), text.slice(36_000));
  expect(loss).toBeLessThan(bigrams - 0.3);
  expect(perplexity).toBeCloseTo(Math.exp(loss), 4);
  const { body: model } = await service.call("GET", `/v1/jobs/${job.id}/model/description`);
  const characters = [...new Set(text)].sort();
  expect(model).toMatchObject({
    input: { shape: [32], type: "int32", categories: characters.length },
    inputs: [{ column: "text", type: "text", vocabulary: { type: "characters", characters: characters.join("") } }],
    target: { column: "next_token", task: "classification", classes: characters },
  });
  const { body: page } = await service.call("GET", `/v1/jobs/${job.id}/batches?epoch=0&limit=1`);
  expect(page.data[0].rows.every((row: number) => row % 32 === 0)).toBe(true);
});

test("pieces, with a job that begins with the weights and the vocabulary of another", async () => {
  const { id } = await service.upload(text.slice(0, 8000), { "content-type": "text/plain" });
  const data = { ...spec(id).data, text: { context: 16, vocabulary: { bpe: 300 } } };
  const first = await until((await service.create({ ...spec(id), data, training: { epochs: 1, batch_size: 64 } })).id);
  const description = async (job: string) => (await service.call("GET", `/v1/jobs/${job}/model/description`)).body;
  const [{ vocabulary }] = (await description(first.id)).inputs;
  expect(vocabulary.merges).toHaveLength(44);
  const other = await service.upload(`${text.slice(9000, 14_000)}Größe`, { "content-type": "text/plain" });
  const fork = await service.call("POST", `/v1/jobs/${first.id}/fork`, {
    body: {
      step: first.progress.last_checkpoint_step,
      overrides: { data: { dataset: other.id }, training: { epochs: 4 } },
    },
  });
  expect([fork.status, fork.body.detail]).toEqual([201, undefined]);
  const second = await until(fork.body.id);
  expect(second.status).toBe("succeeded");
  expect((await description(second.id)).inputs[0].vocabulary).toEqual(vocabulary);
});

test.each([
  [{ text: null }, "/data/text"],
  [{ text: { context: 32, vocabulary: { bpe: 20 } } }, "/data/text/vocabulary/bpe"],
  [{ text: { context: 0, vocabulary: "bytes" } }, "/data/text/context"],
  [{ text: { context: 40_000, vocabulary: "bytes" } }, "/data/text/context"],
  [{ validation: { fraction: 0.1 } }, "/data/validation"],
  [{ target: "text" }, "/data/target"],
])("%j is told", async (changes, pointer) => {
  const { id } = await service.upload(text, { "content-type": "text/plain" });
  const body = { ...spec(id), data: { ...spec(id).data, ...changes } };
  const answer = await service.call("POST", "/v1/jobs?validate_only=true", { body });
  expect(answer.status).toBe(422);
  expect(answer.body.errors.map((fault: { pointer: string }) => fault.pointer)).toContain(pointer);
});
