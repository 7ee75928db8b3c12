import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ColumnFile, writeColumnFile } from "../../../src/data/files/column-file.ts";
import { FIRST_READING } from "../../../src/data/reading.ts";
import { TableColumns } from "../../../src/data/columns/table-columns.ts";

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "rappel-columns-"));
});
afterAll(() => rm(directory, { recursive: true }));

test("a file of columns returns the values of every type, wherever they are", async () => {
  const names = ["text", "flag", "day", "word", "number"];
  const columns = new TableColumns(names, {
    version: 2,
    decimal: null,
    missingValues: null,
    types: { text: "text" },
  });
  columns.add(["any", "yes", "2024-01-31", "b", "1.5"], 2);
  columns.add(["thing", "NA", "", "?", "-"], 3);
  columns.add(["at all", "no", "1969-12-31T12:00", "a", "2"], 4);
  columns.settle();
  const finished = columns.finish();
  const content = {
    sha256: "0".repeat(64),
    bytes: 0,
    reading: FIRST_READING,
    rows: 3,
    columns: finished.map(({ summary }) => summary),
  };
  const path = join(directory, "values");
  await writeColumnFile(path, content, finished);
  await ColumnFile.with(path, async (file) => {
    expect(file.content).toEqual(content);
    expect(file.content.columns.map(({ type }) => type)).toEqual([
      "categorical",
      "boolean",
      "date",
      "categorical",
      "numeric",
    ]);
    expect(await file.codes(0)).toEqual(new Uint16Array());
    expect(await file.codes(1)).toEqual(new Uint16Array([1, 0xffff, 0]));
    expect(await file.numbers(2)).toEqual(new Float64Array([Date.UTC(2024, 0, 31), NaN, -43_200_000]));
    expect(await file.codes(3)).toEqual(new Uint16Array([1, 0xffff, 0]));
    expect(await file.numbers(4)).toEqual(new Float64Array([1.5, NaN, 2]));
  });
});
