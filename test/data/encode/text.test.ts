/** Texts as what a model of language trains on. */
import { Readable } from "node:stream";
import { describe, expect, test } from "vitest";
import { checkData } from "../../../src/data/encode/check.ts";
import { encode, measure } from "../../../src/data/encode/encoding-cache.ts";
import type { DataSpec } from "../../../src/data/encode/encoding.ts";
import { tableOf } from "../../../src/data/encode/viewed-file.ts";
import { thisProcess } from "../../../src/data/pool.ts";
import { ALL_DETECTED } from "../../../src/data/reading.ts";
import { member, smallJob, train } from "../../support/training.ts";
import { sentences } from "../../support/language.ts";
import { dataset, dataSpec, datasetFiles, LIMIT_BYTES } from "../support.ts";

async function uploaded(text: string) {
  const { files } = await datasetFiles();
  const body = Readable.from([Buffer.from(text)]);
  const draft = await files.receive(body, LIMIT_BYTES, thisProcess, undefined, ALL_DETECTED, null, "text");
  await draft.keep();
  return { path: files.columnsPath(draft.content), content: draft.content };
}

const spec = (given: Partial<DataSpec>, text: Partial<DataSpec["text"]> = {}) =>
  dataSpec({ target: "next_token", ...given, text: { context: 4, stride: null, vocabulary: "characters", ...text } });

async function samples(text: string, data: DataSpec) {
  const { path } = await uploaded(text);
  const { data: encoded, encoding } = await encode(path, data, "class", "int32");
  const [{ values, shape, step }] = encoded.inputs;
  const classes = encoded.target.classes!;
  const read = (from: ArrayLike<number>, row: number) =>
    Array.from({ length: shape[0] }, (_, i) => classes[from[row * step! + i]]).join("");
  const side = (rows: Int32Array) => Array.from(rows, (row) => [read(values, row), read(encoded.targets, row)]);
  const measured = await measure(path, data, "class", "int32");
  expect(measured).toMatchObject({
    sizes: {
      train: encoded.trainRows.length,
      valid: encoded.validRows.length,
      test: encoded.testRows.length,
      tokens: classes,
      encodedBytes: values.byteLength,
      inputs: [{ shape, type: "int32", categories: classes.length }],
      targetShape: shape,
    },
  });
  const { trainRows, validRows, testRows } = encoded;
  return { train: side(trainRows), valid: side(validRows), test: side(testRows), classes, encoding, measured };
}

test("samples are contexts and the characters that follow, and none crosses a split", async () => {
  const text = "abcdefghijabcdefghijabcdefghi";
  const data = spec({ validation: { tail: 0.25 }, test: { tail: 0.3 } });
  const { train: training, valid, test: tested, classes, encoding } = await samples(text, data);
  // Of 29 characters nine test, and of the other 20 five validate.
  expect(training).toEqual([
    ["abcd", "bcde"],
    ["efgh", "fghi"],
    ["ijab", "jabc"],
  ]);
  expect(valid).toEqual([["fghi", "ghij"]]);
  expect(tested).toEqual([
    ["abcd", "bcde"],
    ["efgh", "fghi"],
  ]);
  expect(classes.join("")).toBe("abcdefghij");
  expect(encoding.inputs[0].encoders).toEqual([
    { column: "text", type: "text", vocabulary: { type: "characters", characters: "abcdefghij" } },
  ]);
  expect(encoding.target).toMatchObject({ column: "next_token", task: "classification", classes });
});

test("samples may overlap", async () => {
  const data = spec({ validation: { tail: 0.4 } }, { context: 3, stride: 2 });
  const { train: training, valid } = await samples("abcdabcdabcdabcdabcd", data);
  expect(training.map(([input]) => input)).toEqual(["abc", "cda", "abc", "cda", "abc"]);
  expect(valid).toEqual([
    ["abc", "bcd"],
    ["cda", "dab"],
    ["abc", "bcd"],
  ]);
});

test("characters that the training text lacks are left out of validation, and told", async () => {
  const { valid, measured } = await samples("abcabcabcabcaäböc", spec({ validation: { tail: 0.3 } }, { context: 2 }));
  expect(valid).toEqual([["ab", "bc"]]);
  expect(measured).toMatchObject({ sizes: { unknown: ["ä", "ö"] } });
});

test("bytes and pieces have no unknown characters, and a split keeps characters whole", async () => {
  const text = "äöüß".repeat(50);
  for (const vocabulary of ["bytes", { bpe: 260 }] as const) {
    const { path } = await uploaded(text);
    const data = spec({ validation: { tail: 0.5 } }, { context: 2, vocabulary });
    const { data: encoded } = await encode(path, data, "class", "int32");
    const [{ values }] = encoded.inputs;
    const tokens = vocabulary === "bytes" ? 200 : 100;
    expect([encoded.validRows[0], values[encoded.validRows[0]]]).toEqual([tokens, values[0]]);
    expect(await measure(path, data, "class", "int32")).toMatchObject({ sizes: { unknown: [] } });
  }
});

describe("told by name", () => {
  const faults = async (text: string, data: DataSpec, targets: "class" | "value" = "class") => {
    const { path, content } = await uploaded(text);
    const found = checkData(tableOf(content), data, targets);
    if (found.length > 0) return found.map(({ pointer, message }) => `${pointer} ${message}`);
    const measured = await measure(path, data, targets, "int32");
    return "faults" in measured ? measured.faults.map(({ pointer, message }) => `${pointer} ${message}`) : [];
  };
  test.each<[string, DataSpec, string[]]>([
    ["no rule", dataSpec({ target: "next_token" }), ["/data/text is required for a text, such as"]],
    ["another target", spec({ target: "text" }), ['/data/target must be "next_token" for a text']],
    ["a random split", spec({ validation: { every: 2 } }), ['/data/validation must be null or {"tail"} for a text']],
    ["a shape", spec({ shape: [2, 2] }), ["/data/shape must be null for a text"]],
    [
      "a context that is too long",
      spec({}, { context: 20 }),
      ["/data/text/context leaves no text of 21 tokens for training"],
    ],
    [
      "a validation that is too short",
      spec({ validation: { tail: 0.1 } }),
      ["/data/validation leaves no text of 5 tokens for validation"],
    ],
  ])("%s", async (_, data, expected) => {
    const found = await faults("abcdefghijklmnopqrst", data);
    expect(found.length).toBe(expected.length);
    for (const [i, message] of expected.entries()) expect(found[i]).toContain(message);
  });

  test("a loss of numbers, and a dataset that is no text", async () => {
    expect(await faults("abcdefghij", spec({}), "value")).toEqual([
      '/data/target is "next_token", a class, and needs a loss of classes such as cross_entropy',
    ]);
    const { content } = await dataset("x,y\n1,2\n");
    expect(checkData(tableOf(content), spec({}), "class")).toEqual([
      { pointer: "/data/features", message: expect.stringMatching(/^must name a column of texts/) },
    ]);
  });
});

test("the same bytes from any number of threads, and from a checkpoint", async () => {
  const { path } = await uploaded(sentences(1500));
  const { data } = await encode(path, spec({ validation: { tail: 0.2 } }, { context: 8, stride: 5 }), "class", "int32");
  const job = smallJob({
    data,
    layers: [
      member("layers", "embedding", { embedding_dim: 6 }),
      member("layers", "gru", { hidden_size: 5, output: "all" }),
      member("layers", "linear"),
    ],
    loss: member("losses", "cross_entropy"),
    training: { epochs: 2, batch_size: 7, log_every_steps: 1 },
  });
  const whole = await train(job, { threads: 1, everySteps: 20 });
  for (const threads of [2, 5]) expect((await train(job, { threads })).state?.sha256).toBe(whole.state?.sha256);
  const [[, state]] = [...whole.checkpoints];
  expect((await train(job, { threads: 2, state })).state?.sha256).toBe(whole.state?.sha256);
});
