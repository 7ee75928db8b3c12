import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { readFile, rename, rm, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { buffer, text } from "node:stream/consumers";
import { describe, expect, test } from "vitest";
import { ColumnFile } from "../../../src/data/files/column-file.ts";
import { DatasetFiles } from "../../../src/data/files/dataset-files.ts";
import { columnsFile, csvFile, DatasetLost, filesOf, type StoredDataset } from "../../../src/data/dataset.ts";
import { FIRST_READING } from "../../../src/data/reading.ts";
import { datasetFiles, LIMIT_BYTES } from "../support.ts";
import { ingest } from "../../support/datasets.ts";

const body = (csv: string) => Readable.from([Buffer.from(csv)]);
const sha256Of = (bytes: string | Buffer) => createHash("sha256").update(bytes).digest("hex");

const original = async (files: DatasetFiles, { sha256 }: { sha256: string }) =>
  await text((await files.original({ sha256 }))!.checked(sha256));

describe("columns", () => {
  const csv = `a,b,c\n${Array.from({ length: 2000 }, (_, i) => `${i},${i % 3},k${i % 2}`).join("\n")}\n`;
  const readAll = (path: string) =>
    ColumnFile.with(path, async (file) => ({
      a: await file.numbers(0),
      b: await file.numbers(1),
      c: await file.codes(2),
    }));
  const flipped = (at: number) => async (path: string) => {
    const bytes = await readFile(path);
    bytes[at < 0 ? bytes.length + at : at] ^= 1;
    await writeFile(path, bytes);
  };

  test.each([
    ["with a flipped bit in the length of the header", flipped(0)],
    ["with a flipped bit in the header", flipped(60)],
    ["with a header longer than any file", flipped(7)],
    ["with a flipped bit in the first column", flipped(3000)],
    ["with a flipped bit in the last column", flipped(-9)],
    ["that lack their last byte", async (path: string) => truncate(path, (await stat(path)).size - 1)],
    ["that lack all but ten bytes", (path: string) => truncate(path, 10)],
    ["that are empty", (path: string) => truncate(path, 0)],
    ["that are missing", (path: string) => rm(path)],
    ["of the format without checksums", (path: string) => writeFile(path, withoutChecksums(path))],
  ])("%s are made again from the original", async (_, damage) => {
    const { files, directory, onDisk } = await datasetFiles();
    const kept = await ingest(files, body(csv), LIMIT_BYTES);
    const path = join(directory, columnsFile(kept));
    const [columns, bytes] = [await files.use(kept, readAll), await readFile(path)];
    await damage(path);
    expect(await Promise.all([1, 2, 3].map(() => files.use(kept, readAll)))).toEqual([columns, columns, columns]);
    expect((await readFile(path)).equals(bytes)).toBe(true);
    expect(await onDisk()).toHaveLength(2);
    // And once more.
    await damage(path);
    expect(await files.use(kept, readAll)).toEqual(columns);
  });

  test.each([
    ["missing", (path: string) => rm(path)],
    ["damaged", flipped(20)],
    ["no table any more", (path: string) => writeFile(path, "")],
  ])("of which the original is %s are lost, until the same bytes are uploaded again", async (_, damage) => {
    const { files, directory, onDisk } = await datasetFiles();
    const kept = await ingest(files, body(csv), LIMIT_BYTES);
    const columns = await files.use(kept, readAll);
    await flipped(3000)(join(directory, columnsFile(kept)));
    await damage(join(directory, csvFile(kept)));
    await expect(files.use(kept, readAll)).rejects.toBeInstanceOf(DatasetLost);
    await expect(files.use(kept, readAll)).rejects.toBeInstanceOf(DatasetLost);
    await ingest(files, body(csv), LIMIT_BYTES);
    expect(await files.use(kept, readAll)).toEqual(columns);
    expect(await original(files, kept)).toBe(csv);
    expect(await onDisk()).toHaveLength(2);
  });

  test("of two readings share one file of bytes, and each can be made again as it was", async () => {
    const { files, onDisk } = await datasetFiles();
    const readings = [FIRST_READING, { ...FIRST_READING, comment: "#" }];
    const kept = await Promise.all(readings.map((reading) => ingest(files, body(csv), LIMIT_BYTES, reading)));
    const names = [csvFile(kept[0]), ...kept.map(columnsFile)];
    expect((await onDisk()).toSorted()).toEqual(names.toSorted());
    for (const dataset of kept) {
      await rm(files.columnsPath(dataset));
      const { reading } = await files.use(dataset, (path) => ColumnFile.with(path, (file) => file.content));
      expect(reading).toEqual(dataset.reading);
      expect(sha256Of(await readFile(files.columnsPath(dataset)))).toBe(dataset.columns_sha256);
    }
  });

  test("of an earlier version are named by the hash of the bytes, and are made again by its reading", async () => {
    const { files, directory, onDisk } = await datasetFiles();
    const { columns_sha256: _, ...content } = await ingest(files, body(csv), LIMIT_BYTES);
    const old: StoredDataset = { ...content, columns_sha256: null };
    await rename(
      join(
        directory,
        (await onDisk()).find((name) => name.endsWith(".columns"))!,
      ),
      files.columnsPath(old),
    );
    const columns = await files.use(old, readAll);
    await flipped(3000)(files.columnsPath(old));
    expect(await files.use(old, readAll)).toEqual(columns);
    expect((await onDisk()).toSorted()).toEqual([`${content.sha256}.columns`, `${content.sha256}.csv`]);
  });

  test.each([
    ["another hash", (kept: StoredDataset) => ({ ...kept, columns_sha256: "0".repeat(64) })],
    ["another mean", (kept: StoredDataset) => old(kept, { mean: 1 })],
    ["other classes", (kept: StoredDataset) => old(kept, { classes: ["0", "1"] })],
    ["another type", (kept: StoredDataset) => old(kept, { type: "categorical" })],
  ])("of which %s was recorded are not made otherwise", async (_, recorded) => {
    const { files, onDisk } = await datasetFiles();
    const kept = await ingest(files, body(csv), LIMIT_BYTES);
    const before = await onDisk();
    const lost = await files.use(recorded(kept), readAll).catch((error: unknown) => error);
    expect(lost).toBeInstanceOf(DatasetLost);
    expect(lost).toMatchObject({
      message: expect.stringContaining("this version reads it differently"),
      remedy: "Upload the same bytes again, and use the dataset that this returns.",
    });
    expect(await onDisk()).toEqual(before);
  });

  /** As an earlier version recorded it, with another second column. */
  function old(kept: StoredDataset, change: Partial<StoredDataset["columns"][number]>): StoredDataset {
    const columns = kept.columns.map((column, i) => (i === 1 ? ({ ...column, ...change } as typeof column) : column));
    return { ...kept, columns, columns_sha256: null };
  }

  test.each([
    ["damaged", flipped(3000)],
    ["cut off", (path: string) => truncate(path, 5000)],
    ["missing", (path: string) => rm(path)],
    ["those of another dataset", async (path: string) => writeFile(path, await readFile(await other()))],
  ])("that are %s are made again before they are sent", async (_, damage) => {
    const { files } = await datasetFiles();
    const kept = await ingest(files, body(csv), LIMIT_BYTES);
    for (const dataset of [kept, { ...kept, columns_sha256: null }]) {
      const path = files.columnsPath(dataset);
      await files.use(dataset, readAll);
      const sound = await readFile(path);
      await damage(path);
      expect((await buffer((await files.columns(dataset)).from(0))).equals(sound)).toBe(true);
    }
  });

  test.each([
    ["with their bytes", filesOf],
    ["while other columns keep their bytes", (kept: StoredDataset) => [columnsFile(kept)]],
  ])("that are deleted %s while they are made again are lost, and leave nothing behind", async (_, namesOf) => {
    const gone = new Set<string>();
    const { directory, onDisk } = await datasetFiles();
    const files = new DatasetFiles(directory, undefined, async (name) => !gone.has(name));
    const found: unknown[] = [];
    for (let round = 0; round < 10; round++) {
      gone.clear();
      const kept = await ingest(files, body(csv), LIMIT_BYTES);
      const names = namesOf(kept);
      await flipped(3000)(join(directory, columnsFile(kept)));
      const reading = files.use(kept, readAll).then(
        () => null,
        (error: unknown) => error,
      );
      // Later in each round, so that it comes between the parts of the rebuilding.
      for (let turn = 0; turn < 3 * round; turn++) await new Promise(setImmediate);
      await files.exclusively(kept.sha256, async () => {
        const retired = await files.retire(names);
        for (const name of names) {
          gone.add(name);
          await retired.remove(name);
        }
      });
      found.push(await reading);
      expect((await onDisk()).filter((name) => names.includes(name))).toEqual([]);
    }
    const others = found.filter((error) => error !== null && !(error instanceof DatasetLost));
    expect(others).toEqual([]);
  });

  /** A sound file of columns. */
  async function other(): Promise<string> {
    const { files } = await datasetFiles();
    return files.columnsPath(await ingest(files, body("a\n1\n"), LIMIT_BYTES));
  }

  /** As version 1 had them: no checksum anywhere. */
  function withoutChecksums(path: string): Uint8Array {
    const bytes = readFileSync(path);
    const length = Number(bytes.readBigUInt64LE());
    const { content } = JSON.parse(bytes.toString("utf8", 40, 40 + length)) as { content: unknown };
    const json = JSON.stringify({ format: "rappel-columns-1", content });
    const header = Buffer.alloc(8 + Math.ceil(json.length / 8) * 8, " ");
    header.writeBigUInt64LE(BigInt(header.length - 8));
    header.write(json, 8);
    return Buffer.concat([header, bytes.subarray(40 + length)]);
  }
});
