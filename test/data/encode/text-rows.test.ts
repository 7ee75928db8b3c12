/** Texts in a column of a table as what a model learns from. */
import { describe, expect, test } from "vitest";
import { checkData } from "../../../src/data/encode/check.ts";
import { encode, measure } from "../../../src/data/encode/encoding-cache.ts";
import type { DataSpec, TextEncoder } from "../../../src/data/encode/encoding.ts";
import { viewTable } from "../../../src/data/encode/viewed-file.ts";
import { member, smallJob, train } from "../../support/training.ts";
import { sentences } from "../../support/language.ts";
import { dataset, dataSpec } from "../support.ts";

const spec = (given: Parameters<typeof dataSpec>[0] = {}, text: Partial<DataSpec["text"]> = {}) =>
  dataSpec({
    target: "y",
    features: ["t"],
    ...given,
    text: { context: 4, stride: null, vocabulary: "characters", ...text },
  });

/** A table of texts, which stand beside the label `y` and the number `n`. */
const table = (texts: readonly string[]) =>
  ["t,y,n", ...texts.map((text, row) => `${text},${row % 2 === 0 ? "a" : "b"},${row}`)].join("\n");

async function encodedText(csv: string, data: DataSpec) {
  const { files, content } = await dataset(csv);
  const path = files.columnsPath(content);
  const { data: result, encoding } = await encode(path, data, "class", "int32");
  const measured = await measure(path, data, "class", "int32");
  const { trainRows, validRows, testRows, inputs } = result;
  const { name: _, values, step: __, ...input } = inputs[0];
  expect(measured).toMatchObject({
    sizes: {
      train: trainRows.length,
      valid: validRows.length,
      test: testRows.length,
      inputs: [input],
      targetShape: result.targetShape,
    },
  });
  return { ...result, values, encoding, measured, path };
}

test("a sample is the first tokens of a row's text, with padding before a shorter one", async () => {
  const csv = table(["abc", "bcabz", "c", "abcä"]);
  const data = spec({ validation: { every: 2 } });
  const { values, encoding, trainRows, measured } = await encodedText(csv, data);
  // Rows 1 and 3 train: a, b, c, z and ä are the tokens 0 to 4, and 5 is the padding.
  expect([...trainRows]).toEqual([1, 3]);
  expect([...values]).toEqual([5, 0, 1, 2, 1, 2, 0, 1, 5, 5, 5, 2, 0, 1, 2, 4]);
  expect(encoding.inputs).toEqual([
    {
      name: "features",
      shape: [4],
      type: "int32",
      categories: 6,
      encoders: [{ column: "t", type: "text", vocabulary: { type: "characters", characters: "abczä" }, padding: 5 }],
    },
  ]);
  expect(measured).toMatchObject({ sizes: { unknown: [] } });
});

test("characters that no training row has are left out, and told", async () => {
  const { values, measured } = await encodedText(table(["xaby", "abab"]), spec({ validation: { every: 2 } }));
  expect([...values]).toEqual([2, 2, 0, 1, 0, 1, 0, 1]);
  expect(measured).toMatchObject({ sizes: { unknown: ["x", "y"] } });
});

test("contexts of the next token are cut within each row, and rows are split by any rule", async () => {
  const csv = table(["abcdef", "ab", "fedcba", "abcd", "fedc"]);
  const data = spec({ target: "next_token", validation: { every: 2 } }, { context: 2, stride: 1 });
  const { values, trainRows, validRows, targets, encoding } = await encodedText(csv, data);
  // Row 1 is too short for a sample: rows 1 and 3 train, and the others validate.
  const { vocabulary } = encoding.inputs[0].encoders[0] as TextEncoder;
  expect(vocabulary).toEqual({ type: "characters", characters: "abcd" });
  expect(encoding.inputs[0]).toMatchObject({ categories: 4, encoders: [{ column: "t", type: "text" }] });
  const read = (from: ArrayLike<number>, row: number) => [0, 1].map((i) => "abcd"[from[row + i]]).join("");
  const side = (rows: Int32Array) => Array.from(rows, (row) => `${read(values, row)}>${read(targets, row)}`);
  expect(side(trainRows)).toEqual(["ab>bc", "bc>cd"]);
  // The characters e and f have no tokens.
  expect(side(validRows)).toEqual(["ab>bc", "bc>cd", "dc>cb", "cb>ba"]);
});

test("pieces do not go beyond a row, and texts of a few classes are texts too", async () => {
  const csv = table(Array.from({ length: 40 }, (_, row) => (row % 4 < 2 ? "ab ab" : "ba ba")));
  const { encoding, values } = await encodedText(csv, spec({}, { context: 2, vocabulary: { bpe: 300 } }));
  const { vocabulary } = encoding.inputs[0].encoders[0] as TextEncoder;
  // "ab", " ab", "ba" and " ba": no piece has the end of a text and the beginning of the next.
  expect(vocabulary).toMatchObject({ merges: { length: 4 } });
  expect([...values.subarray(0, 2)]).not.toEqual([...values.subarray(4, 6)]);
  const declared = await encodedText(csv, spec({ features: null, columns: { t: "text" } }, { vocabulary: "bytes" }));
  expect([...declared.values.subarray(0, 4)]).toEqual([...Buffer.from("ab a")]);
});

test("a missing text is refused, left out, or all padding", async () => {
  const csv = `${table(["abcd", "bcda"])}\n,a,3\ndcba,b,4`;
  const left = await encodedText(csv, spec({ preprocess: { missing: "drop_row" } }));
  expect([...left.trainRows]).toEqual([0, 1, 3]);
  const kept = await encodedText(csv, spec({ preprocess: { missing: "most_frequent" } }));
  expect([...kept.values.subarray(8, 12)]).toEqual([4, 4, 4, 4]);
});

describe("told by name", () => {
  const long = Array.from({ length: 30 }, (_, row) => `text ${row}`);
  const faults = async (csv: string, data: DataSpec, targets: "class" | "value" = "class") => {
    const { files, content } = await dataset(csv);
    const { table: viewed } = viewTable(content, data.columns);
    const found = checkData(viewed, data, targets);
    if (found.length > 0) return found.map(({ pointer, message }) => `${pointer} ${message}`);
    const measured = await measure(files.columnsPath(content), data, targets, "int32");
    return "faults" in measured ? measured.faults.map(({ pointer, message }) => `${pointer} ${message}`) : [];
  };
  test.each<[string, string, DataSpec, RegExp[]]>([
    [
      "a column that is no text",
      table(long),
      spec({ features: ["n"] }),
      [/^\/data\/features\/0 names "n", which is numeric and no text; .*\?columns=\{"n":"text"\}/],
    ],
    [
      "two columns of texts",
      table(long),
      spec({ features: ["t", "y"], target: "next_token" }),
      [/^\/data\/features must name one column of texts, and there are 2: "t", "y"/],
    ],
    [
      "no column that looks like texts",
      table(["a", "b"]),
      spec({ features: null }),
      [/^\/data\/features must name a column of texts/],
    ],
    [
      "a missing text",
      `${table(long)}\n,a,9`,
      spec(),
      [
        /names "t", whose value is missing in 1 of 31 rows; .*"most_frequent" \(which takes it as an empty text\), or "drop_row"/,
      ],
    ],
    [
      "no text in a row that trains",
      table(["", "abcd"]),
      spec({ validation: { tail: 0.5 }, preprocess: { missing: "mean" } }),
      [/^\/data\/features names "t", which has no text in any row that trains/],
    ],
    [
      "a context longer than any text",
      table(long),
      spec({}, { context: 9 }),
      [/^\/data\/text\/context is 9, and the longest text of "t" that trains has 7 tokens/],
    ],
    [
      "a context that no text fills",
      table(long),
      spec({ target: "next_token" }, { context: 9 }),
      [/^\/data\/text\/context leaves no text of 10 tokens for training/],
    ],
    [
      "a stride of whole texts",
      table(long),
      spec({}, { stride: 2 }),
      [/^\/data\/text\/stride must be null, because each row is one sample/],
    ],
    [
      "weights of tokens",
      table(long),
      spec({ target: "next_token", weight: "n", shape: [2, 2] }),
      [/^\/data\/shape/, /^\/data\/weight must be null/],
    ],
    [
      "a stratified draw",
      table(long),
      spec({ target: "next_token", validation: { fraction: 0.2, seed: 0, stratify: true } }),
      [/^\/data\/validation\/stratify needs a target with one class a row/],
    ],
  ])("%s", async (_, csv, data, expected) => {
    const found = await faults(csv, data);
    expect(found).toEqual(expected.map((message) => expect.stringMatching(message)));
  });

  test("a loss of numbers, and texts of a table whose job makes no tokens", async () => {
    expect(await faults(table(long), spec({ target: "next_token" }), "value")).toEqual([
      '/data/target is "next_token", a class, and needs a loss of classes such as cross_entropy',
    ]);
    const many = table(Array.from({ length: 1200 }, (_, row) => `text ${row}`));
    expect(await faults(many, dataSpec({ features: ["t"] }))).toEqual([
      expect.stringMatching(/names "t", which .*; \/data\/text can make tokens of its texts/),
    ]);
  });
});

const layersOf = (output: string) => [
  member("layers", "embedding", { embedding_dim: 6, padding_idx: -1 }),
  member("layers", "gru", { hidden_size: 5, output }),
  member("layers", "linear"),
];

test.each([
  ["a class", "y", "last", 1],
  ["the next token", "next_token", "all", 3],
])("%s: the same bytes from any number of threads, and from a checkpoint", async (_, target, output, stride) => {
  const rows = sentences(3000)
    .split(".")
    .filter((text) => text.trim() !== "");
  const data = spec(
    { target, validation: { fraction: 0.2, seed: 1 } },
    { context: 8, stride: target === "y" ? null : stride },
  );
  const { data: encoded } = await (async () => {
    const { files, content } = await dataset(table(rows.map((text) => `"${text.trim()}"`)));
    return await encode(files.columnsPath(content), data, "class", "int32");
  })();
  const job = smallJob({
    data: encoded,
    layers: layersOf(output),
    loss: member("losses", "cross_entropy"),
    training: { epochs: 2, batch_size: 7, log_every_steps: 1 },
  });
  const whole = await train(job, { threads: 1, everySteps: 10 });
  for (const threads of [2, 5]) expect((await train(job, { threads })).state?.sha256).toBe(whole.state?.sha256);
  const [[, state]] = [...whole.checkpoints];
  expect((await train(job, { threads: 2, state })).state?.sha256).toBe(whole.state?.sha256);
});
