/** Parquet files that PyArrow wrote, and what is left of them when they are damaged. */
import { readFile, readdir } from "node:fs/promises";
import { Readable } from "node:stream";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import type { AnyColumn } from "../../../src/data/columns/column.ts";
import { DatasetTooLarge, InvalidDataset } from "../../../src/data/dataset.ts";
import { readParquet } from "../../../src/data/parquet/read.ts";
import { thisProcess } from "../../../src/data/pool.ts";
import { ALL_DETECTED } from "../../../src/data/reading.ts";
import { datasetFiles, LIMIT_BYTES } from "../support.ts";

const FOLDER = "test/data/parquet/pyarrow";
const written = (name: string) => readFile(`${FOLDER}/${name}.parquet`);

function valuesOf({ summary, values }: AnyColumn): (number | string | null)[] {
  const { classes, type } = summary;
  return Array.from(values ?? [], (value) => {
    if (type === "numeric" || type === "date") return Number.isNaN(value) ? null : value;
    return classes![value] ?? null;
  });
}

const expected: Record<string, (number | string | null)[]> = JSON.parse(
  await readFile(`${FOLDER}/values.json`, "utf8"),
);
const types: Record<string, string> = { bool: "boolean", day: "date", date64: "date", seconds: "date", millis: "date" };
for (const name of ["micros", "nanos"]) types[name] = "date";
for (const name of ["text", "large", "binary", "category", "uuid", "long", "ulong"]) types[name] = "categorical";

describe("values and types are those that PyArrow wrote", () => {
  test.each([
    "none",
    "snappy",
    "gzip",
    "zstd",
    "brotli",
    "lz4",
    "groups",
    "pages2",
    "plain",
    "encoded1",
    "encoded2",
    "old",
  ])("%s", async (name) => {
    const { rows, columns } = await readParquet(`${FOLDER}/${name}.parquet`, LIMIT_BYTES);
    expect(rows).toBe(90);
    expect(columns.length).toBe(name === "old" ? 4 : Object.keys(expected).length);
    for (const column of columns) {
      const { summary } = column;
      const values = expected[summary.name];
      expect([summary.name, valuesOf(column)]).toEqual([summary.name, values]);
      expect([summary.name, summary.type]).toEqual([summary.name, types[summary.name] ?? "numeric"]);
      expect(summary.missing).toBe(values.filter((value) => value === null).length);
    }
  });

  test("from memory, as where the file is packed with gzip", async () => {
    const { files } = await datasetFiles();
    const file = await written("snappy");
    const [plain, packed] = await Promise.all(
      [file, gzipSync(file)].map(async (bytes) => (await files.receive(Readable.from([bytes]), LIMIT_BYTES)).content),
    );
    expect([plain.format, plain.reading, plain.rows]).toEqual(["parquet", null, 90]);
    expect(packed.columns).toEqual(plain.columns);
  });
});

async function reason(file: Buffer, limitBytes = LIMIT_BYTES, asked = ALL_DETECTED): Promise<unknown> {
  const { files, onDisk } = await datasetFiles();
  const received = files.receive(Readable.from([file]), limitBytes, thisProcess, undefined, asked);
  const error = await received.then(
    () => null,
    (caught: unknown) => caught,
  );
  if (error !== null) expect(await onDisk()).toEqual([]);
  if (error !== null && !(error instanceof DatasetTooLarge)) expect(error).toBeInstanceOf(InvalidDataset);
  return error instanceof InvalidDataset ? error.message : error;
}

describe("refused, with nothing left behind", () => {
  test.each([
    ["list", 'The column "tags" is nested (a list). Only flat columns can be read'],
    ["struct", 'The column "place" is nested (a record of several fields)'],
    ["map", 'The column "map" is nested (a map)'],
    ["infinite", 'The column "x" holds Infinity in row 1. All numbers must be finite'],
    ["bytes", 'The column "x" holds bytes that are no UTF-8'],
    ["fixed", 'The column "x" holds FIXED_LEN_BYTE_ARRAY, which cannot be read'],
    ["empty", "The Parquet file has no rows"],
  ])("%s", async (name, why) => expect(await reason(await written(name))).toContain(why));

  test("what is asked of CSV tables", async () => {
    const asked = { ...ALL_DETECTED, separator: ";" as const };
    const message = await reason(await written("none"), LIMIT_BYTES, asked);
    expect(message).toBe("The file is a Parquet file, and ?separator= is for CSV tables: leave it out.");
  });

  test("a file that unpacks to more than a dataset may have", async () => {
    const file = await written("zstd");
    expect(await reason(file, file.length + 100)).toBeInstanceOf(DatasetTooLarge);
  });

  test("a file that is cut off", async () => {
    const file = await written("none");
    for (const length of [5, 12, 1000, file.length - 1])
      expect(await reason(file.subarray(0, length))).toContain(
        "The Parquet file is cut off: its last four bytes are not PAR1",
      );
    const cut = Buffer.concat([file.subarray(0, 900), file.subarray(file.length - 6000)]);
    expect(await reason(cut)).toContain("The Parquet file is damaged or cut off");
  });

  test("a page with a wrong checksum", async () => {
    const file = await written("groups");
    file[1000] ^= 1;
    expect(await reason(file)).toMatch(/^The Parquet file is damaged or cut off in the column "\w+": .*checksum\.$/);
  });
});

test("no damage makes it hang, take much memory, or fail otherwise than as damage", async () => {
  const names = (await readdir(FOLDER)).filter((name) => name.endsWith(".parquet"));
  let state = 7;
  const random = (below: number) => (state = (state * 48_271) % 2_147_483_647) % below;
  let refused = 0;
  for (const name of names) {
    const whole = await readFile(`${FOLDER}/${name}`);
    for (let i = 0; i < 40; i++) {
      const file = Buffer.from(whole);
      for (let byte = 0; byte < 1 + (i % 3); byte++) {
        // Half of them in the description at the end.
        const from = i % 2 === 0 ? 0 : Math.max(0, file.length - 4000);
        file[from + random(file.length - from)] = i % 5 === 0 ? 0xff : random(256);
      }
      const outcome = await readParquet(file, 2 ** 22).catch((error: unknown) => error);
      if (!(outcome instanceof Error)) continue;
      refused++;
      if (!(outcome instanceof DatasetTooLarge)) expect(outcome).toBeInstanceOf(InvalidDataset);
    }
  }
  expect(refused).toBeGreaterThan(names.length * 10);
});
