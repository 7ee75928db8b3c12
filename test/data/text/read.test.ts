/** Plain texts. */
import { rm } from "node:fs/promises";
import { Readable } from "node:stream";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { InvalidDataset, plainFormatOf } from "../../../src/data/dataset.ts";
import { ColumnFile } from "../../../src/data/files/column-file.ts";
import { thisProcess } from "../../../src/data/pool.ts";
import { ALL_DETECTED } from "../../../src/data/reading.ts";
import { datasetFiles, LIMIT_BYTES } from "../support.ts";

async function receive(file: Buffer, asked = ALL_DETECTED) {
  const { files, onDisk } = await datasetFiles();
  try {
    const body = Readable.from([file]);
    const draft = await files.receive(body, LIMIT_BYTES, thisProcess, undefined, asked, null, "text");
    const text = await ColumnFile.with(draft.columnsPath, async (opened) =>
      Buffer.from(await opened.text(0)).toString(),
    );
    return { ...draft.content, text };
  } catch (error) {
    expect(await onDisk()).toEqual([]);
    throw error;
  }
}

test("a text is kept as it is, and its characters are described", async () => {
  const text = "Größe: 7,5 m\r\n日本 𝄞\0\r\n";
  const read = await receive(Buffer.from(text));
  const characters = Array.from(text);
  expect(read).toMatchObject({ format: "text", reading: null, rows: characters.length, text });
  const classes = [...new Set(characters)].toSorted((a, b) => a.codePointAt(0)! - b.codePointAt(0)!);
  expect(read.columns).toMatchObject([
    { name: "text", type: "text", bytes: Buffer.byteLength(text), classes, missing: 0 },
  ]);
  expect(plainFormatOf(read)).toBe("text");
  expect(await receive(gzipSync(text))).toMatchObject({ columns: read.columns, text });
});

test("a byte order mark is left out, and too many characters are not listed", async () => {
  expect((await receive(Buffer.from("\uFEFFab"))).text).toBe("ab");
  const many = String.fromCodePoint(...Array.from({ length: 1001 }, (_, i) => 0x4e00 + i));
  expect((await receive(Buffer.from(many))).columns).toMatchObject([{ classes: null, bytes: 3003 }]);
});

test("its columns are made again from its bytes", async () => {
  const { files } = await datasetFiles();
  const draft = await files.receive(
    Readable.from(["a,b\n1,2\n"]),
    LIMIT_BYTES,
    thisProcess,
    undefined,
    ALL_DETECTED,
    null,
    "text",
  );
  await draft.keep();
  const path = files.columnsPath(draft.content);
  await rm(path);
  const text = await files.use(draft.content, (columns) => ColumnFile.with(columns, (file) => file.text(0)));
  expect(Buffer.from(text).toString()).toBe("a,b\n1,2\n");
});

describe("refused", () => {
  const long = "é".repeat(5000);
  test.each([
    [
      "Latin-1",
      Buffer.concat([Buffer.from(long), Buffer.from("caf\xe9 au lait", "latin1")]),
      "byte 10003 (from 0) is 0xe9",
    ],
    ["at its beginning", Buffer.from("\xff\xfea\0b\0", "latin1"), "byte 0 (from 0) is 0xff"],
    [
      "cut off within a character",
      Buffer.from(long).subarray(0, 9999),
      "byte 9998 (from 0) is 0xc3, near the end: is the file cut off?",
    ],
    ["with an overlong character", Buffer.from("abc\xc0\x80def", "latin1"), "byte 3 (from 0) is 0xc0"],
    ["with half of a pair", Buffer.from("ab\xed\xa0\x80cdefgh", "latin1"), "byte 2 (from 0) is 0xed"],
    ["empty", Buffer.alloc(0), "The text is empty."],
  ])("%s", async (_, bytes, why) => {
    const error = await receive(bytes).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(InvalidDataset);
    expect((error as Error).message).toContain(why);
  });

  test("another encoding, or what is for tables", async () => {
    const latin = receive(Buffer.from("a"), { ...ALL_DETECTED, encoding: "windows-1252" });
    await expect(latin).rejects.toThrow("A text must be UTF-8, and the request says windows-1252.");
    const table = receive(Buffer.from("a"), { ...ALL_DETECTED, header: false });
    await expect(table).rejects.toThrow("The file is a text, and ?header= is for CSV tables: leave it out.");
  });
});
