// Models of language go on with a text.
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Job } from "../../src/contract/wire/job.ts";
import type { GeneratedText } from "../../src/contract/wire/prediction.ts";
import { field, linear, startTraining } from "./trained.ts";

let training: Awaited<ReturnType<typeof startTraining>>;
let job: Job;
const CONTEXT = 8;
const text = Array.from({ length: 400 }, (_, i) => ["ab", "acb", "aé"][((i * i) % 7) % 3]).join(" ");

beforeAll(async () => {
  training = await startTraining();
  job = await learned("characters");
});
afterAll(() => training.stop());

async function learned(vocabulary: unknown): Promise<Job> {
  const headers = { "content-type": "text/plain" };
  const { body } = await training.service.call("POST", "/v1/datasets", { body: text, headers });
  const layers = [{ type: "embedding", embedding_dim: 8 }, { type: "lstm", hidden_size: 16, output: "all" }, linear()];
  return await training.trained({
    data: { dataset: (body as { id: string }).id, target: "next_token", text: { context: CONTEXT, vocabulary } },
    model: { layers },
    training: { epochs: 6, batch_size: 8 },
  });
}

async function generate(body: object, id = job.id): Promise<GeneratedText> {
  const answer = await training.ask(id, body);
  expect(answer.status, answer.text).toBe(200);
  return answer.body as GeneratedText;
}

const characters = Array.from(new Set(text)).sort();

test("the likeliest token follows, also beyond the context", async () => {
  const prompt = "ab acb a";
  const { text: added, tokens, weights_sha256 } = await generate({ prompt, max_tokens: 12, temperature: 0 });
  expect(weights_sha256).toBe(job.result!.weights_sha256);
  expect(tokens.map((token) => characters[token]).join("")).toBe(added);
  let known = prompt;
  for (const next of added) {
    const window = Array.from(known.slice(-CONTEXT), (character) => characters.indexOf(character));
    const { predictions } = await training.predict(job.id, { inputs: [window] });
    const [classes] = field(predictions, "class") as string[][];
    expect(classes[CONTEXT - 1]).toBe(next);
    known += next;
  }
  // What stands before the context does not count, and a short prompt is enough.
  expect(await generate({ prompt: `é é é ${prompt}`, max_tokens: 12, temperature: 0 })).toEqual(
    await generate({ prompt, max_tokens: 12, temperature: 0 }),
  );
  const first = await generate({ prompt: "a", max_tokens: 3, temperature: 0 });
  const rest = await generate({ prompt: `a${first.text}`, max_tokens: 2, temperature: 0 });
  expect((await generate({ prompt: "a", max_tokens: 5, temperature: 0 })).text).toBe(first.text + rest.text);
});

test("a text is drawn by its seed, from the likeliest tokens, at a temperature", async () => {
  const asked = { prompt: "ab", max_tokens: 60, seed: 5 };
  const drawn = await generate(asked);
  expect(drawn.tokens).toHaveLength(60);
  expect(await generate(asked)).toEqual(drawn);
  expect((await generate({ ...asked, seed: 6 })).text).not.toBe(drawn.text);
  const likeliest = await generate({ ...asked, temperature: 0 });
  expect(await generate({ ...asked, top_k: 1 })).toEqual(likeliest);
  expect((await generate({ ...asked, temperature: 1e-3 })).text).toBe(likeliest.text);
  const wild = await generate({ ...asked, temperature: 100 });
  expect(new Set(wild.text).size).toBe(characters.length);
});

test("bytes and pairs of bytes become a text again", async () => {
  for (const vocabulary of ["bytes", { bpe: 259 }]) {
    const { id } = await learned(vocabulary);
    const { text: added, tokens } = await generate({ prompt: "aé a", max_tokens: 20 }, id);
    expect(tokens).toHaveLength(20);
    expect(added.length).toBeGreaterThan(0);
    expect(await generate({ prompt: "何か", max_tokens: 1 }, id)).toMatchObject({ tokens: [expect.any(Number)] });
  }
});

test.each<[object, string, RegExp]>([
  [{ prompt: "" }, "/prompt", /at least 1/],
  [{ prompt: "abz?" }, "/prompt", /has "z", "\?", which the training text lacks/],
  [{ prompt: "ab", max_tokens: 0 }, "/max_tokens", /at least 1/],
  [{ prompt: "ab", max_tokens: 5000 }, "/max_tokens", /at most 4096/],
  [{ prompt: "ab", temperature: -1 }, "/temperature", /at least 0/],
  [{ prompt: "ab", top_k: 0 }, "/top_k", /at least 1/],
  [{ prompt: "ab", rows: [{}] }, "", /exactly one of rows, inputs, prompt/],
  [{ rows: [{ text: "ab" }] }, "/rows", /send a prompt/],
  [{ inputs: [[0, 1, 2]] }, "/inputs/0", /the model takes 8/],
  [{ inputs: [[0, 1, 2, 3, 0, 1, 0, 99]] }, "/inputs/0/7", /whole numbers from 0 to/],
])("%j is refused by name", async (body, pointer, message) => {
  const { status, body: problem } = await training.ask(job.id, body);
  expect([status, problem.errors]).toEqual([422, [{ pointer, message: expect.stringMatching(message) }]]);
});

test("a model of a table goes on with no text", async () => {
  const { id } = await training.service.upload("x,y\n1,2\n2,4\n3,6");
  const table = await training.trained({
    data: { dataset: id, target: "y" },
    model: { layers: [linear()] },
    loss: { type: "mse" },
    training: { epochs: 1, batch_size: 3 },
  });
  const { body } = await training.ask(table.id, { prompt: "1" });
  expect(body.errors).toEqual([{ pointer: "/prompt", message: expect.stringMatching(/model of language/) }]);
});
