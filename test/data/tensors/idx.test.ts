/** Files in the format of MNIST. */
import { Readable } from "node:stream";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { DatasetTooLarge, InvalidDataset } from "../../../src/data/dataset.ts";
import { ColumnFile } from "../../../src/data/files/column-file.ts";
import { datasetFiles, LIMIT_BYTES } from "../support.ts";
import { idx } from "./files.ts";

async function receive(file: Buffer, limitBytes = LIMIT_BYTES) {
  const { files, onDisk } = await datasetFiles();
  try {
    const { content, columnsPath } = await files.receive(Readable.from([file]), limitBytes);
    const elements = await ColumnFile.with(columnsPath, async (opened) => [...(await opened.elements(0))]);
    return { ...content, elements };
  } catch (error) {
    expect(await onDisk()).toEqual([]);
    throw error;
  }
}

test.each([
  [0x08, "uint8", Buffer.from([0, 255, 7, 1]), [0, 255, 7, 1]],
  [0x09, "int8", Buffer.from([0, 255, 7, 1]), [0, -1, 7, 1]],
  [0x0b, "int16", Buffer.from([0, 1, 0xff, 0xfe]), [1, -2]],
  [0x0c, "int32", Buffer.from([0, 0, 1, 0, 0xff, 0xff, 0xff, 0xff]), [256, -1]],
  [0x0d, "float32", Buffer.from([0x3f, 0x80, 0, 0, 0xc0, 0, 0, 0]), [1, -2]],
  [0x0e, "float64", Buffer.from([0x3f, 0xf0, 0, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0]), [1, -2]],
])("elements of the type %i are %s", async (type, dtype, data, elements) => {
  const read = await receive(idx(type, [2, elements.length / 2], data));
  expect(read).toMatchObject({ format: "idx", reading: null, rows: 2, elements });
  expect(read.columns).toMatchObject([{ name: "values", type: "tensor", dtype, shape: [elements.length / 2] }]);
});

test("images and labels, packed with gzip as MNIST is", async () => {
  const images = await receive(gzipSync(idx(0x08, [3, 2, 2], Buffer.from("abcdefghijkl"))));
  expect(images.columns).toMatchObject([{ shape: [2, 2], min: 97, max: 108 }]);
  const labels = await receive(gzipSync(idx(0x08, [3], Buffer.from([5, 0, 4]))));
  expect(labels.columns).toMatchObject([{ shape: [], classes: ["0", "4", "5"] }]);
});

describe("refused", () => {
  const file = idx(0x08, [3, 2, 2], Buffer.from("abcdefghijkl"));
  test.each([
    ["cut off", file.subarray(0, -1), "The IDX file is cut off: its shape [3, 2, 2] takes 12 bytes, and it has 11."],
    ["cut off in the header", file.subarray(0, 10), "The IDX file is cut off within its header."],
    ["too long", Buffer.concat([file, file]), "goes on after the 12 bytes that its shape [3, 2, 2] takes."],
    ["empty", idx(0x08, [3, 0], Buffer.alloc(0)), "has the shape [3, 0], so it holds nothing"],
    ["of nine dimensions", idx(0x08, [1, 1, 1, 1, 1, 1, 1, 1, 1], Buffer.from("a")), "has 9 dimensions; it may have 8"],
  ])("%s", async (_, bytes, why) => {
    const error = await receive(bytes).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(InvalidDataset);
    expect((error as Error).message).toContain(why);
  });

  test("larger than a dataset may be, before room is made for it", async () => {
    const claims = idx(0x0e, [2 ** 31, 2 ** 31], Buffer.alloc(8));
    await expect(receive(claims)).rejects.toBeInstanceOf(DatasetTooLarge);
  });
});
