// What a set takes grows little with its keys: the bytes that follow from them alone.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { partitionTable } from "../../src/data/encode/partitioned-table.ts";
import { IndexWriter } from "../../src/sets/set-index.ts";
import { directory, specOf, tableOf } from "./support.ts";

const keyOf = (key: number) => `store ${String(key).padStart(6, "0")}`;

test("the shared table takes for each key its text and where it is", async () => {
  const spec = specOf({ data: { partition_by: "store" }, loss: { type: "mse" } });
  const bytesOf = async (keys: number) => {
    // As many rows, whatever the number of keys.
    const rows = Array.from({ length: 8000 }, (_, row) => `${keyOf(row % keys)},${row % 5},${row % 3}`);
    const { offsets, keyOffsets, keyTexts } = await partitionTable(
      await tableOf(["store,x,y", ...rows].join("\n")),
      spec.data,
    );
    return offsets.byteLength + keyOffsets.byteLength + keyTexts.byteLength;
  };
  const text = Buffer.byteLength(JSON.stringify({ store: keyOf(0) }));
  expect((await bytesOf(4000)) - (await bytesOf(400))).toBe(3600 * (text + 8));
});

test("the index takes for each model its entry and a number for each that it is sorted by", async () => {
  const to = await directory();
  const entry = (number: number) => ({
    number: 100_000 + number,
    key: { store: keyOf(number) },
    fold: 0,
    seed: 0,
    status: "succeeded" as const,
    error: null,
    rows: 10,
    steps: 20,
    epochs: 20,
    stop_reason: "completed" as const,
    metrics: { valid_loss: 0.125, valid_accuracy: 0.5 },
    best: null,
    weights_sha256: "0".repeat(64),
  });
  const bytesOf = async (models: number) => {
    const path = join(to, String(models));
    const writer = await IndexWriter.create(path);
    for (let number = 0; number < models; number++) await writer.add(entry(number));
    await writer.end();
    await writer.close();
    return (await readFile(path)).length;
  };
  const text = Buffer.byteLength(JSON.stringify(entry(0)));
  // Two metrics, the rows, the steps, the end of the entry, and its status.
  expect((await bytesOf(16_000)) - (await bytesOf(8000))).toBeCloseTo(8000 * (text + 5 * 8 + 1), -2);
});
