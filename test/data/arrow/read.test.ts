/** Arrow files and streams of PyArrow and Polars, and what is left of them after damage. */
import { readdir, readFile } from "node:fs/promises";
import { Readable } from "node:stream";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { isArrow, readArrow } from "../../../src/data/arrow/read.ts";
import type { AnyColumn } from "../../../src/data/columns/column.ts";
import { DatasetTooLarge, InvalidDataset } from "../../../src/data/dataset.ts";
import { readParquet } from "../../../src/data/parquet/read.ts";
import { datasetFiles, LIMIT_BYTES } from "../support.ts";

const FOLDER = "test/data/arrow/pyarrow";
const written = (name: string) => readFile(`${FOLDER}/${name}.arrow`);
const cellsOf = ({ summary, values }: AnyColumn) =>
  Array.from(values ?? [], (value) => (summary.type === "numeric" ? value : (summary.classes?.[value] ?? null)));

test.each(["uncompressed", "lz4", "zstd", "batches", "stream"])(
  "%s: the columns are those of the same table as Parquet",
  async (name) => {
    const parquet = await readParquet("test/data/parquet/pyarrow/plain.parquet", LIMIT_BYTES);
    expect(await readArrow(`${FOLDER}/${name}.arrow`, LIMIT_BYTES)).toEqual(parquet);
    // From memory the bytes may lie anywhere.
    const moved = Buffer.concat([Buffer.alloc(3), await written(name)]).subarray(3);
    expect(await readArrow(moved, LIMIT_BYTES)).toEqual(parquet);
  },
);

describe("as others write it", () => {
  test.each([
    ["deltas", [["b", null, "a", "c", null, "a", "d", null, "a"]]],
    ["replaced", [["b", null, "a", "c", null, "c"]]],
    [
      "categories",
      [
        ["x", "y", null, "x"],
        ["b", "a", null, "b"],
      ],
    ],
    ["string_view", [["a", null, "a text of more than twelve bytes"]]],
    [
      "views",
      [
        ["a text of more than twelve bytes", null, "short", null],
        [1.5, Number.NaN, 2, 3],
      ],
    ],
  ])("%s", async (name, cells) => {
    const { columns } = await readArrow(`${FOLDER}/${name}.arrow`, LIMIT_BYTES);
    expect(columns.map(cellsOf)).toEqual(cells);
  });

  test("it is recognised, also packed with gzip", async () => {
    const { files } = await datasetFiles();
    for (const name of ["lz4", "stream"]) {
      const file = await written(name);
      for (const bytes of [file, gzipSync(file)]) {
        const { content } = await files.receive(Readable.from([bytes]), LIMIT_BYTES);
        expect([content.format, content.reading, content.rows]).toEqual(["arrow", null, 90]);
      }
    }
  });
});

async function reason(file: Buffer, limitBytes = LIMIT_BYTES): Promise<unknown> {
  const error = await readArrow(file, limitBytes).catch((caught: unknown) => caught);
  return error instanceof InvalidDataset ? error.message : error;
}

describe("refused", () => {
  test.each([
    ["list", 'The column "tags" is nested (a list). Only flat columns can be read'],
    ["struct", 'The column "place" is nested (a record of several fields)'],
    ["infinite", 'The column "x" holds Infinity in row 1. All numbers must be finite'],
    ["bytes", 'The column "x" holds bytes that are no UTF-8'],
    ["fixed", 'The column "x" holds FixedSizeBinary, which cannot be read'],
    ["int128", 'The column "x" holds whole numbers of 128 bits, which cannot be read. Write it as numbers'],
    ["empty", "The Arrow file has no rows"],
  ])("%s", async (name, why) => expect(await reason(await written(name))).toContain(why));

  test("a file that unpacks to more than a dataset may have", async () => {
    expect(await reason(await written("zstd"), 10_000)).toBeInstanceOf(DatasetTooLarge);
  });

  test("a file that replaces a dictionary", async () => {
    const file = [Buffer.from("ARROW1\0\0"), await written("replaced"), Buffer.from("\0\0\0\0ARROW1")];
    expect(await reason(Buffer.concat(file))).toContain("replaces a dictionary, which only a stream may do");
  });

  test("a file or a stream that is cut off", async () => {
    const file = await written("lz4");
    expect(await reason(file.subarray(0, 9000))).toContain("cut off: its last six bytes are not ARROW1");
    const stream = await written("stream");
    for (const length of [12, 5000, stream.length - 8])
      expect(await reason(stream.subarray(0, length))).toContain("The Arrow file is damaged or cut off");
  });
});

test("no damage makes it hang, take much memory, or fail otherwise than as damage", async () => {
  const names = (await readdir(FOLDER)).filter((name) => name.endsWith(".arrow"));
  let state = 7;
  const random = (below: number) => (state = (state * 48_271) % 2_147_483_647) % below;
  let refused = 0;
  for (const name of names) {
    const whole = await readFile(`${FOLDER}/${name}`);
    for (let i = 0; i < 60; i++) {
      const file = Buffer.from(whole);
      for (let byte = 0; byte < 1 + (i % 3); byte++) {
        // Half of them in the schema.
        const at = random(i % 2 === 0 ? file.length : Math.min(file.length, 2000));
        file[at] = i % 5 === 0 ? 0xff : random(256);
      }
      if (!isArrow(file)) continue;
      const outcome = await readArrow(file, 2 ** 22).catch((error: unknown) => error);
      if (!(outcome instanceof Error)) continue;
      refused++;
      if (!(outcome instanceof DatasetTooLarge)) expect(outcome).toBeInstanceOf(InvalidDataset);
    }
  }
  expect(refused).toBeGreaterThan(names.length * 10);
});
