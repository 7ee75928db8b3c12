/** The texts of columns that list no classes are in the file of columns. */
import { createHash } from "node:crypto";
import { readFile, rm, writeFile } from "node:fs/promises";
import { Readable } from "node:stream";
import { expect, test } from "vitest";
import { TextRoom } from "../../../src/data/columns/kept-texts.ts";
import { TableColumns } from "../../../src/data/columns/table-columns.ts";
import { CodesInTheMaking } from "../../../src/data/columns/texts-in-the-making.ts";
import { MAX_DICTIONARY_BYTES, MAX_DICTIONARY_TEXTS, type StoredDataset } from "../../../src/data/dataset.ts";
import { partitionRows } from "../../../src/data/encode/keys.ts";
import { ViewedFile } from "../../../src/data/encode/viewed-file.ts";
import { rowsWhere } from "../../../src/data/encode/where.ts";
import { checkColumns, ColumnFile } from "../../../src/data/files/column-file.ts";
import { previewFile } from "../../../src/data/preview.ts";
import { FIRST_READING, READER_VERSION } from "../../../src/data/reading.ts";
import { ingest } from "../../support/datasets.ts";
import { datasetFiles, LIMIT_BYTES } from "../support.ts";

const ROWS = 1500;
/** Every kind of column that lists no classes, and two that have other values. */
const cells: Record<string, (row: number) => string> = {
  many: (row) => (row === 7 ? "" : row === 8 ? "NA" : row === 9 ? "N/A" : `größe ${row}`),
  long: (row) => `${row % 3} ${"x".repeat(300)}`,
  declared: (row) => (row === 3 ? "" : ["good", "bad"][row % 2]),
  // Numbers until nearly the end.
  mixed: (row) => (row === 1400 ? "later" : String(row)),
  // Among numbers alone NA is missing.
  codes: (row) => (row === 5 ? "NA" : `0${row}`),
  number: String,
  kind: (row) => "abc"[row % 3],
};
const names = Object.keys(cells);
const csv = [
  names.join(","),
  ...Array.from({ length: ROWS }, (_, row) => names.map((name) => cells[name](row)).join(",")),
].join("\n");
const reading = {
  ...FIRST_READING,
  version: READER_VERSION,
  missing_values: null,
  columns: { declared: "text" },
} as const;

const textsIn = (path: string) =>
  ColumnFile.with(path, async (file) => {
    const found: Record<string, string[]> = {};
    for (const [index, { name, type, classes }] of file.content.columns.entries()) {
      if (type !== "categorical" || classes !== null) continue;
      const texts = await file.texts(index);
      found[name] = Array.from({ length: ROWS }, (_, row) => Buffer.from(texts.at(row)).toString());
    }
    return { found, numbers: await file.numbers(5), codes: await file.codes(6) };
  });

test("each row's text is kept, and what is missing is empty", async () => {
  const { files } = await datasetFiles();
  const kept = await ingest(files, Readable.from([csv]), LIMIT_BYTES, reading);
  const { found, numbers, codes } = await textsIn(files.columnsPath(kept));
  const rows = Array.from({ length: ROWS }, (_, row) => row);
  const expected = Object.fromEntries(names.slice(0, 5).map((name) => [name, rows.map(cells[name])]));
  expected.many[9] = expected.codes[5] = "";
  expect(found).toEqual(expected);
  // The columns behind them are where they were.
  expect([numbers[ROWS - 1], codes[ROWS - 1]]).toEqual([ROWS - 1, 2]);
  for (const column of kept.columns.slice(0, 5)) {
    const texts = expected[column.name];
    expect(column).toMatchObject({
      type: "categorical",
      classes: null,
      text_bytes: Buffer.byteLength(texts.join("")),
      missing: texts.filter((text) => text === "").length,
    });
  }
  expect(kept.columns.slice(5).map((column) => "text_bytes" in column)).toEqual([false, false]);
  const { rows: shown } = await previewFile({ table: files.columnsPath(kept), rows: 8 });
  expect(shown[0].slice(0, 3)).toEqual(["größe 0", `0 ${"x".repeat(98)}…`, "good"]);
  expect([shown[7][0], shown[3][2]]).toEqual([null, null]);
});

test("they are made again as they were, and so are columns of a version that kept none", async () => {
  const { files } = await datasetFiles();
  const hash = async (dataset: StoredDataset) => {
    await rm(files.columnsPath(dataset), { force: true });
    await files.use(dataset, (path) => ColumnFile.with(path, () => null));
    return createHash("sha256")
      .update(await readFile(files.columnsPath(dataset)))
      .digest("hex");
  };
  const kept = await ingest(files, Readable.from([csv]), LIMIT_BYTES, reading);
  expect(await hash(kept)).toBe(kept.columns_sha256);
  // As the version before recorded the same table.
  const earlier = {
    ...kept,
    columns: kept.columns.map((column) => ({ ...column, text_bytes: undefined }) as typeof column),
    columns_sha256: "92de997d821ce041a775a8b8e2a62a7d2c5ad821bb9be7a484189ac3d42726c2",
  };
  expect(await hash(earlier)).toBe(earlier.columns_sha256);
});

test("beyond the room of a table the longest columns keep none, whenever they come", () => {
  const kept = (room: number, order: readonly string[]) => {
    const options = { version: READER_VERSION, decimal: null, missingValues: null };
    const types = Object.fromEntries(order.map((name) => [name, "text" as const]));
    const columns = new TableColumns(order, { ...options, types, texts: new TextRoom(room) });
    for (let row = 0; row < 3000; row++)
      columns.add(
        order.map((name) => name.repeat(name === "long" ? 4 : 2) + row),
        row,
      );
    columns.settle();
    return columns
      .finish()
      .filter(({ texts }) => texts !== undefined)
      .map(({ summary }) => summary.name);
  };
  for (const order of [
    ["long", "ab", "c"],
    ["c", "ab", "long"],
  ]) {
    expect(kept(10 ** 6, order)).toEqual(order);
    expect(kept(50_000, order)).toEqual(order.filter((name) => name !== "long"));
    expect(kept(18_000, order)).toEqual(["c"]);
    expect(kept(100, order)).toEqual([]);
  }
});

test("texts that repeat are kept once each where there is no room for all", () => {
  const options = { version: READER_VERSION, decimal: null, missingValues: null };
  const types = { shop: "text", note: "text", code: "text" } as const;
  const cells = (row: number) => [
    row % 9 === 0 ? "" : `shop ${row % 1500}`,
    `note ${row}`,
    row % 11 === 0 ? "NA" : `0${row % 40}`,
  ];
  const table = (room: number) => {
    const columns = new TableColumns(["shop", "note", "code"], { ...options, types, texts: new TextRoom(room) });
    for (let row = 0; row < 20_000; row++) columns.add(cells(row), row);
    columns.settle();
    return columns.finish();
  };
  for (const room of [2 ** 27, 150_000, 80_000]) {
    const forms = table(room).map(({ summary, texts }, i) => {
      if (texts === undefined) return "none";
      const all = Array.from({ length: 20_000 }, (_, row) => Buffer.from(texts.at(row)).toString());
      expect(all).toEqual(all.map((_, row) => (i === 2 && row % 11 === 0 ? "" : cells(row)[i])));
      expect(summary.text_bytes).toBe(Buffer.byteLength(all.join("")));
      return texts.dictionary === null ? "rows" : "dictionary";
    });
    if (room === 2 ** 27) expect(forms).toEqual(["rows", "rows", "rows"]);
    if (room === 150_000) expect(forms).toEqual(["dictionary", "none", "rows"]);
    if (room === 80_000) expect(forms).toEqual(["dictionary", "none", "dictionary"]);
  }
});

test("a dictionary has a million texts at most, and 64 MiB of them", () => {
  const row = (length: number) => (n: number) => Buffer.from(String(n).padStart(length));
  for (const [count, textOf] of [
    [MAX_DICTIONARY_TEXTS, row(7)],
    [1024, row(MAX_DICTIONARY_BYTES / 1024)],
  ] as const) {
    const codes = new CodesInTheMaking();
    const add = (text: Buffer) => codes.add(text, [text.length]);
    for (let n = 0; n < count; n++) add(textOf(n));
    add(textOf(0));
    expect(codes.isTooLarge).toBe(false);
    add(textOf(count));
    expect(codes.isTooLarge).toBe(true);
  }
});

test("classes that are too many to be listed are a dictionary in the file, which is made again as it was", async () => {
  const { files } = await datasetFiles();
  const columns = Array.from({ length: 70 }, (_, i) => `c${i}`);
  const cell = (i: number, row: number) => (row % 77 === i ? "" : `${"é".repeat(i % 3)}${(row * (2 * i + 1)) % 1000}x`);
  const wide = [
    columns.join(","),
    ...Array.from({ length: 1050 }, (_, row) => columns.map((_, i) => cell(i, row)).join(",")),
  ].join("\n");
  const kept = await ingest(files, Readable.from([wide]), LIMIT_BYTES);
  const unlisted = kept.columns.filter(({ classes }) => classes === null).map(({ name }) => name);
  expect(unlisted.length).toBeGreaterThan(1);
  const path = files.columnsPath(kept);
  const check = () =>
    ViewedFile.with(path, { columns: {}, where: null }, async (file) => {
      for (const name of unlisted) {
        const texts = await file.texts(name);
        const all = Array.from({ length: 1050 }, (_, row) => Buffer.from(texts.at(row)).toString());
        expect(all).toEqual(all.map((_, row) => cell(columns.indexOf(name), row)));
        const { keys, missing, key, rows } = await partitionRows(file, [name]);
        expect([keys, missing]).toEqual([new Set(all.filter(Boolean)).size, all.filter((text) => text === "").length]);
        expect([...rows(5)]).toEqual([...(await rowsWhere(file, { where: key(5) }))!]);
      }
    });
  await check();
  const before = await readFile(path);
  expect(createHash("sha256").update(before).digest("hex")).toBe(kept.columns_sha256);
  await writeFile(path, before.fill(1, before.length - 100));
  await files.use(kept, (columnsPath) => checkColumns({ path: columnsPath, ...kept }));
  await check();
  const { rows: shown } = await previewFile({ table: path, rows: 2 });
  expect(shown[1]).toEqual(columns.map((_, i) => cell(i, 1) || null));
});
