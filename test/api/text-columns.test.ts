/** Texts in a column of a table, and the vocabularies of texts that other jobs take over. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Job } from "../../src/contract/wire/job.ts";
import { sentences } from "../support/language.ts";
import { field, linear, startTraining } from "./trained.ts";

let training: Awaited<ReturnType<typeof startTraining>>;
let dataset: string;
let classifier: Job;
/** Each ends in another pair of letters. */
const texts = sentences(4000)
  .split(/[.]\s/)
  .slice(0, 60)
  .map((text, row) => `${text} ${"abcdeghi"[row % 8]}${"abcdeghi"[row >> 3]}`);
const csv = (of: readonly string[]) =>
  ["review,label", ...of.map((text) => `${text},${/\b(two|many|these)\b/.test(text) ? "many" : "one"}`)].join("\n");
const characters = [...new Set(texts.filter((_, row) => row % 5 > 0).join(""))].sort().join("");

const spec = (id: string, data: object = {}, output = "last") => ({
  data: {
    dataset: id,
    target: "label",
    text: { context: 16, vocabulary: "characters" },
    validation: { every: 5 },
    ...data,
  },
  model: {
    layers: [
      { type: "embedding", embedding_dim: 8, padding_idx: -1 },
      { type: "lstm", hidden_size: 8, output },
      linear(),
    ],
  },
  loss: { type: "cross_entropy" },
  optimizer: { type: "adam", lr: 0.01 },
  training: { epochs: 4, batch_size: 8 },
});

const check = async (body: unknown) =>
  (await training.service.call("POST", "/v1/jobs?validate_only=true", { body: body as object })).body;
const fork = (id: string, data: object) =>
  training.service.call("POST", `/v1/jobs/${id}/fork`, {
    body: { step: "final", optimizer: false, overrides: { data } },
  });
const describe = async (id: string) => (await training.service.call("GET", `/v1/jobs/${id}/model/description`)).body;

beforeAll(async () => {
  training = await startTraining();
  dataset = (await training.service.upload(csv(texts))).id;
  classifier = await training.trained(spec(dataset));
});
afterAll(() => training.stop());

test("the column that looks like texts is the default, and its tokens are described", async () => {
  expect(classifier.spec.data).toMatchObject({ features: ["review"], text: { context: 16, stride: null } });
  expect(classifier.warnings).toEqual([]);
  expect(await describe(classifier.id)).toMatchObject({
    input: { shape: [16], type: "int32", categories: characters.length + 1 },
    inputs: [
      { column: "review", type: "text", vocabulary: { type: "characters", characters }, padding: characters.length },
    ],
    target: { column: "label", classes: ["many", "one"] },
  });
  const plan = await check(spec(dataset));
  expect(plan.spec.model.layers[0].num_embeddings).toBe(characters.length + 1);
  expect(plan.memory_bytes).toBeGreaterThan(texts.length * 17 * 4);
});

test("rows are predicted as they are evaluated, alone or among others", async () => {
  const valid = texts.filter((_, row) => row % 5 === 0);
  const { predictions } = await training.predict(classifier.id, { rows: valid.map((review) => ({ review })) });
  const labels = valid.map((text) => (/\b(two|many|these)\b/.test(text) ? "many" : "one"));
  const right = field(predictions, "class").filter((name, i) => name === labels[i]).length;
  expect(right / valid.length).toBeCloseTo((classifier.result!.metrics as Record<string, number>).valid_accuracy, 6);
  const probable = predictions.map(
    (answer, i) => (answer as { probabilities: Record<string, number> }).probabilities[labels[i]],
  );
  const loss = probable.reduce((sum, p) => sum - Math.log(p), 0) / valid.length;
  expect(loss).toBeCloseTo((classifier.result!.metrics as Record<string, number>).valid_loss, 5);
  const alone = await training.predict(classifier.id, { rows: [{ review: valid[3] }] });
  expect(alone.predictions[0]).toEqual(predictions[3]);
  const answer = await training.askCsv(classifier.id, csv(valid));
  expect(answer.body.predictions).toEqual(predictions);
  // The tokens themselves, with the padding before them.
  const tokens = Array.from(valid[3].slice(0, 16), (character) => characters.indexOf(character));
  const padded = [...Array<number>(16 - tokens.length).fill(characters.length), ...tokens];
  expect((await training.predict(classifier.id, { inputs: [padded] })).predictions[0]).toEqual(predictions[3]);
});

test.each<[object, string, RegExp]>([
  [{ rows: [{ review: "a cat" }, {}] }, "/rows/1/review", /is required/],
  [{ rows: [{ review: 5 }] }, "/rows/0/review", /must be a text, not 5/],
  [{ rows: [{ review: null }] }, "/rows/0/review", /is missing/],
  [{ rows: [{ review: "a ¿cat?" }] }, "/rows/0/review", /has "¿", "\?", which the training text lacks/],
  [{ prompt: "a cat" }, "/prompt", /is for a model of language/],
])("%j is refused by name", async (body, pointer, message) => {
  const { status, body: problem } = await training.ask(classifier.id, body);
  expect([status, problem.errors]).toEqual([422, [{ pointer, message: expect.stringMatching(message) }]]);
});

test("a model of language of the texts of a column goes on with a prompt", async () => {
  const job = await training.trained(
    spec(dataset, { target: "next_token", text: { context: 8, vocabulary: "bytes" } }, "all"),
  );
  const { status, body } = await training.ask(job.id, { prompt: "the c", max_tokens: 5 });
  expect([status, body.tokens?.length]).toEqual([200, 5]);
  const { body: refused } = await training.ask(job.id, { rows: [{ review: "the c" }] });
  expect(refused.errors).toEqual([{ pointer: "/rows", message: expect.stringMatching(/send a prompt/) }]);
  const { data } = (await training.service.call("GET", `/v1/jobs/${job.id}/batches?epoch=0&limit=1`)).body;
  expect(data[0].rows).toHaveLength(8);
});

test.each([
  ["a column", () => classifier, () => training.service.upload(csv(texts.map((text) => `${text} ßé`)))],
  [
    "a plain text",
    async () => {
      const { id } = await training.service.upload(texts.join("."), { "content-type": "text/plain" });
      return await training.trained(spec(id, { target: "next_token", validation: null }, "all"));
    },
    () => training.service.upload(`${texts.join(".")}.ßé`, { "content-type": "text/plain" }),
  ],
])("a fork onto another text keeps the vocabulary of %s, and is told what that lacks", async (_, first, second) => {
  const parent = await first();
  const { id } = await second();
  const { vocabulary } = (await describe(parent.id)).inputs[0];
  const refused = await fork(parent.id, { dataset: id });
  const unseen = `must be "zeros", which leaves characters out, because the encoders of ${parent.id} do not know "ß", "é"; or "encoders": "refit" in the data fits new ones`;
  expect([refused.status, refused.body.errors]).toEqual([
    422,
    [{ pointer: "/overrides/data/unseen", message: unseen }],
  ]);
  const other = await fork(parent.id, { dataset: id, unseen: "zeros", text: { vocabulary: "bytes" } });
  expect(other.body.errors).toEqual([
    {
      pointer: "/overrides/data/text/vocabulary",
      message: expect.stringMatching(/^must be "characters", which the encoders/),
    },
  ]);
  const { status, body: child } = await fork(parent.id, { dataset: id, unseen: "zeros", text: { context: 8 } });
  expect([status, child.errors]).toEqual([201, undefined]);
  expect(child.warnings).toEqual([expect.objectContaining({ code: "unknown_character" })]);
  await expect
    .poll(async () => (await training.service.call("GET", `/v1/jobs/${child.id}`)).body.status, { timeout: 30_000 })
    .toBe("succeeded");
  expect((await describe(child.id)).inputs[0].vocabulary).toEqual(vocabulary);
  const refit = await fork(parent.id, { dataset: id, encoders: "refit" });
  // Two more tokens do not fit the weights.
  expect(refit.status).toBe(422);
});

test("encoders of numbers make no tokens, and those of texts nothing else", async () => {
  const { id } = await training.service.upload("x,label\n1,a\n2,b\n3,a\n4,b");
  const numbers = await training.trained({
    data: { dataset: id, target: "label" },
    training: { epochs: 1, batch_size: 4 },
    model: { layers: [linear()] },
  });
  const { errors } = await check(spec(dataset, { encoders: { job: numbers.id } }));
  expect(errors).toContainEqual({ pointer: "/data/encoders", message: expect.stringMatching(/make no tokens/) });
  const { errors: others } = await check({ ...spec(id, { encoders: { job: classifier.id }, text: null }) });
  expect(others).toContainEqual({ pointer: "/data/encoders", message: expect.stringMatching(/make tokens of texts/) });
});
