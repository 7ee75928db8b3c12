import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { expect, test } from "vitest";
import { ColumnFile, writeColumnFile } from "../../../src/data/files/column-file.ts";
import { DatasetFiles } from "../../../src/data/files/dataset-files.ts";
import {
  csvFile,
  DatasetLost,
  DatasetTooLarge,
  filesOf,
  InvalidDataset,
  type StoredDataset,
  type TableColumn,
} from "../../../src/data/dataset.ts";
import { READER_VERSION } from "../../../src/data/reading.ts";
import { datasetFiles, LIMIT_BYTES } from "../support.ts";
import { ingest } from "../../support/datasets.ts";

const body = (csv: string) => Readable.from([Buffer.from(csv)]);
const sha256Of = (bytes: string | Buffer) => createHash("sha256").update(bytes).digest("hex");

const original = async (files: DatasetFiles, { sha256 }: { sha256: string }) =>
  await text((await files.original({ sha256 }))!.checked(sha256));

/** All files of a dataset, as a deletion removes them. */
async function remove(files: DatasetFiles, dataset: StoredDataset): Promise<void> {
  const retired = await files.retire(filesOf(dataset));
  for (const name of filesOf(dataset)) await retired.remove(name);
}

test("keeps the bytes and the columns, each under their hash", async () => {
  const { files, onDisk } = await datasetFiles();
  const csv = "x,y\r\n1,a\r\n2.5,\r\n";
  const stored = await ingest(files, body(csv), LIMIT_BYTES);
  const { columns_sha256, format, ...content } = stored;
  expect(format).toBe("csv");
  expect(content).toEqual({
    sha256: sha256Of(csv),
    bytes: csv.length,
    reading: {
      version: READER_VERSION,
      separator: ",",
      decimal: ".",
      decimal_proved: expect.any(Boolean),
      encoding: "utf-8",
      header: true,
      comment: null,
      missing_values: null,
      columns: {},
    },
    rows: 2,
    columns: [
      {
        name: "x",
        type: "numeric",
        missing: 0,
        min: 1,
        max: 2.5,
        mean: 1.75,
        classes: ["1", "2.5"],
        all_different: false,
        reason: null,
      },
      {
        name: "y",
        type: "categorical",
        missing: 1,
        min: null,
        max: null,
        mean: null,
        classes: ["a"],
        all_different: false,
        reason: null,
      },
    ],
  });
  expect((await onDisk()).toSorted()).toEqual(filesOf(stored).toSorted());
  expect(await original(files, stored)).toBe(csv);
  expect(sha256Of(await readFile(files.columnsPath(stored)))).toBe(columns_sha256);
  expect(await files.use(stored, (path) => ColumnFile.with(path, (file) => file.content))).toEqual(content);
});

test("the hash of a dataset does not depend on the wording of reasons", async () => {
  const reason = { line: 2, cell: "?", message: "one way to say it" };
  const { files, directory } = await datasetFiles();
  const content = await ingest(files, body("x\nabc\n1\n"), LIMIT_BYTES);
  expect(content.columns[0].reason).not.toBeNull();
  const worded = { ...content, columns: [{ ...content.columns[0], reason }] };
  const column = { summary: worded.columns[0] as TableColumn, values: new Uint16Array([1, 0]) };
  const hashes = [content, worded].map((each, i) => writeColumnFile(join(directory, String(i)), each, [column]));
  expect(await hashes[0]).toBe(await hashes[1]);
});

test("the same bytes are the same dataset, which is gone once it is removed", async () => {
  const { files, onDisk } = await datasetFiles();
  const [first, second] = await Promise.all([1, 2].map(() => ingest(files, body("x\n1\n"), LIMIT_BYTES)));
  expect(second).toEqual(first);
  expect(await ingest(files, body("x\n1\n"), LIMIT_BYTES)).toEqual(first);
  expect(await onDisk()).toHaveLength(2);
  expect(await files.has(first)).toBe(true);
  await remove(files, first);
  expect(await files.has(first)).toBe(false);
  expect(await onDisk()).toEqual([]);
});

test.each([
  ["an empty file", "", 1, /empty/],
  ["a header without rows", "a,b\n", 1, /no rows/],
  ["a first line of numbers", "1,2\n3,4\n", 1, /name the columns/],
  ["a column without a name", "a,,c\n1,2,3\n", 1, /Column 2 has no name/],
  ["two columns of one name", 'a,"a"\n1,2\n', 1, /"a"/],
  ["a long name", `a,${"b".repeat(257)}\n1,2\n`, 1, /256/],
  [
    "names too long in all",
    `${Array.from({ length: 9000 }, (_, i) => `${i}`.padStart(120, "n")).join(",")}\n`,
    1,
    /1048576/,
  ],
  ["too many columns", `${Array.from({ length: 10_001 }, (_, i) => `c${i}`).join(",")}\n`, 1, /10000/],
  ["a row with a cell too few", 'a,b\n"1\n1",2\n3\n', 4, /1 cell,/],
  ["a row with a cell too many", "a,b\r\n1,2\r\n3,4,5\r\n6,7\r\n", 3, /3 cells/],
  ["a long cell", `a\n1\n${"x".repeat(65_537)}\n`, 3, /65536/],
  ["an open quote", 'a,b\n1,2\n"3,4\n', 3, /never closed/],
  ["a NUL byte", "a\n1\n\0\n", 3, /NUL/],
])("refuses %s and keeps nothing", async (_, csv, line, message) => {
  const { files, onDisk } = await datasetFiles();
  const refusal = await ingest(files, body(csv), LIMIT_BYTES).catch((error: unknown) => error);
  expect(refusal).toBeInstanceOf(InvalidDataset);
  expect(refusal).toMatchObject({ line, message: expect.stringMatching(message) });
  expect(await onDisk()).toEqual([]);
});

test("a cell may be as long as the limit in the message", async () => {
  const { files } = await datasetFiles();
  expect(await ingest(files, body(`a\n1\n${"x".repeat(65_536)}\n`), LIMIT_BYTES)).toMatchObject({ rows: 2 });
});

test("refuses a file over the limit without reading much more, and leaves the sender's stream open", async () => {
  const { files, onDisk } = await datasetFiles();
  let sent = 0;
  const endless = new Readable({
    read() {
      sent += 1000;
      this.push(Buffer.alloc(1000, "1\n"));
    },
  });
  await expect(ingest(files, endless, 100_000)).rejects.toBeInstanceOf(DatasetTooLarge);
  expect(sent).toBeLessThan(500_000);
  expect(endless.destroyed).toBe(false);
  expect(await onDisk()).toEqual([]);
  expect((await ingest(files, body("x\n1\n"), 4)).bytes).toBe(4);
});

test.each([
  ["breaks off", (body: Readable) => body.destroy()],
  ["fails", (body: Readable) => body.destroy(new Error("aborted"))],
])("an upload that %s leaves nothing", async (_, end) => {
  const { files, onDisk } = await datasetFiles();
  const upload = new Readable({ read() {} });
  // A request that nobody listens to yet swallows its error; a plain stream would throw it.
  upload.on("error", () => undefined);
  const ingested = ingest(files, upload, LIMIT_BYTES);
  upload.push(Buffer.from("x,y\n1,2\n"));
  await expect.poll(onDisk).toHaveLength(1);
  end(upload);
  await expect(ingested).rejects.toThrow();
  expect(await onDisk()).toEqual([]);
});

test("a start removes what a crash left an hour ago, and nothing else", async () => {
  const { files, directory, onDisk } = await datasetFiles();
  const kept = await ingest(files, body("x\n1\n"), LIMIT_BYTES);
  const halves = [`${"0".repeat(64)}.csv`, `${"1".repeat(64)}.columns`];
  const upload = `upload-${crypto.randomUUID()}`;
  for (const name of [...halves, `${upload}.csv`, `${upload}.columns`, "note.txt"])
    await writeFile(join(directory, name), "x");
  // What another process uploads meanwhile stays.
  await new DatasetFiles(directory).prepare();
  expect(await onDisk()).toHaveLength(7);
  const then = new Date(Date.now() - 3_700_000);
  for (const name of await onDisk()) await utimes(join(directory, name), then, then);
  await new DatasetFiles(directory).prepare();
  // Half a dataset may still be what a record refers to.
  const left = [...filesOf(kept), ...halves, "note.txt"];
  expect((await onDisk()).toSorted()).toEqual(left.toSorted());
});

test("a start restores the files of an interrupted deletion", async () => {
  const { files, directory, onDisk } = await datasetFiles();
  const kept = await ingest(files, body("x\n1\n"), LIMIT_BYTES);
  await files.retire(filesOf(kept));
  expect(await files.has(kept)).toBe(false);
  await new DatasetFiles(directory).prepare();
  expect((await onDisk()).toSorted()).toEqual(filesOf(kept).toSorted());
});

test("a retired file is not put back over the same bytes that were uploaded meanwhile", async () => {
  const { files, directory, onDisk } = await datasetFiles();
  const csv = "x\n1\n2\n";
  const kept = await ingest(files, body(csv), LIMIT_BYTES);
  await writeFile(join(directory, csvFile(kept)), "damaged");
  const retired = await files.retire(filesOf(kept));
  await ingest(files, body(csv), LIMIT_BYTES);
  await retired.putBack();
  expect(await onDisk()).toHaveLength(2);
  expect(await original(files, kept)).toBe(csv);
});

test("the original is sent to its end only if it is unchanged", async () => {
  const { files, directory } = await datasetFiles();
  const csv = `x\n${"1\n".repeat(100_000)}`;
  const kept = await ingest(files, body(csv), LIMIT_BYTES);
  await writeFile(join(directory, csvFile(kept)), csv.replace(/1\n$/, "2\n"));
  let given = 0;
  const read = async () => {
    for await (const chunk of (await files.original(kept))!.checked(kept.sha256)) given += (chunk as Buffer).length;
  };
  await expect(read()).rejects.toBeInstanceOf(DatasetLost);
  expect(given).toBeLessThan(csv.length);
});

test("work on the files of a dataset waits for earlier work, whether that succeeds or not", async () => {
  const { files } = await datasetFiles();
  const done: string[] = [];
  const work = (name: string, fails: boolean) => async () => {
    await new Promise((resolve) => setImmediate(resolve));
    done.push(name);
    if (fails) throw new Error(`${name} failed`);
    return name;
  };
  const all = [files.exclusively("a", work("first", true)), files.exclusively("a", work("second", false))];
  expect(await Promise.allSettled(all)).toMatchObject([
    { status: "rejected", reason: { message: "first failed" } },
    { status: "fulfilled", value: "second" },
  ]);
  expect(done).toEqual(["first", "second"]);
});

test("a table that came with a spec is written as it is, whatever its cells hold", async () => {
  const { files } = await datasetFiles();
  const cells = ["plain", 'a "quote"', "a,comma", "a\nline", "a return\r", "a\r\nboth", " spaces "];
  const draft = await files.draft({ inline: { columns: ["x", "text"], rows: cells.map((cell, i) => [i, cell]) } });
  expect(draft.content.rows).toBe(cells.length);
  expect(draft.content.columns[1].classes).toEqual(cells.toSorted());
  await draft.discard();
});

test("a name that is not a hash reaches no file", async () => {
  const { files } = await datasetFiles();
  await expect(files.original({ sha256: "../../secret" })).rejects.toThrow(/not named by a SHA-256/);
});

test("the columns with the fewest classes list theirs when all together are too many", async () => {
  const { files } = await datasetFiles();
  const names = Array.from({ length: 60 }, (_, i) => `n${i}`);
  const rows = Array.from({ length: 1000 }, (_, row) => `${row % 3},${names.map((_, i) => row + i).join(",")}`);
  const { columns } = await ingest(files, body(`few,${names.join(",")}\n${rows.join("\n")}\n`), LIMIT_BYTES);
  expect(columns[0].classes).toEqual(["0", "1", "2"]);
  expect(columns.filter(({ classes }) => classes !== null)).toHaveLength(1 + 49);
  expect(columns.reduce((sum, { classes }) => sum + (classes?.length ?? 0), 0)).toBeLessThanOrEqual(50_000);
});

test("a file of several megabytes is read in many chunks", async () => {
  const { files } = await datasetFiles();
  const row = (i: number) => `${i / 64},"class ${i % 40}",é${i} ${"filler ".repeat(5)},${i % 2}\n`;
  function* rows() {
    yield Buffer.from("number,category,text,flag\n");
    for (let block = 0; block < 100; block++) {
      const text = Array.from({ length: 1000 }, (_, i) => row(1000 * block + i));
      yield Buffer.from(text.join(""));
    }
  }
  const content = await ingest(files, Readable.from(rows()), LIMIT_BYTES);
  expect(content).toMatchObject({
    rows: 100_000,
    columns: [
      { type: "numeric", min: 0, max: 99_999 / 64, mean: 99_999 / 128, classes: null },
      { type: "categorical", missing: 0 },
      { type: "categorical", classes: null },
      { type: "numeric", mean: 0.5, classes: ["0", "1"] },
    ],
  });
  expect(content.columns[1].classes).toHaveLength(40);
});

test("the examples are the tables they should be", async () => {
  const { files } = await datasetFiles();
  const reference = JSON.parse(await readFile("test/golden/datasets/reference_quality.json", "utf8"));
  for (const name of ["iris", "digits"]) {
    const { rows, feature_columns, target_column, classes } = reference.datasets[name];
    const content = await ingest(files, createReadStream(`examples/${name}.csv`), LIMIT_BYTES);
    expect(content.rows).toBe(rows);
    expect(content.columns.map((column) => column.name)).toEqual([...feature_columns, target_column]);
    expect(content.columns.every(({ type, missing }) => type === "numeric" && missing === 0)).toBe(true);
    expect(content.columns.at(-1)?.classes).toEqual(Array.from({ length: classes }, (_, i) => String(i)));
  }
});
