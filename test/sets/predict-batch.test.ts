// Predictions of a set over a dataset: the bytes depend on the set and the dataset alone.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { predictBatch } from "../../src/predict/batch.ts";
import type { SetSource } from "../../src/predict/set.ts";
import type { ResolvedSpec } from "../../src/contract/schema/spec.ts";
import { summarize } from "../../src/sets/summary.ts";
import { directory, noise, specOf, tableOf, trainSet } from "./support.ts";

const random = noise(9);
const rows = Array.from({ length: 300 }, (_, i) => `${(i * 7) % 25},${random()},${["u", "v"][(i >> 2) % 2]}`);
const csv = (lines: readonly string[]) => ["store,x,y", ...lines].join("\n");
const training = { epochs: 2, batch_size: 4, seeds: 2 };
const spec = specOf({
  data: { partition_by: "store", features: ["x"], validation: { folds: 2 } },
  training,
}) as unknown as ResolvedSpec;

/** Trains the set, cut into shards of 16 models. */
async function trained(): Promise<{ set: SetSource; table: string }> {
  const table = await tableOf(csv(rows));
  const { paths } = await trainSet(table, spec as never, [16, 32, 48, 64, 80, 96]);
  const index = join(await directory(), "index");
  const { weights_sha256 } = await summarize({ shards: paths, index });
  const shape = { keys: 25, folds: 2, seeds: 2 };
  return { table, set: { spec, shape, shards: paths, shardModels: 16, index, weights_sha256 } };
}

async function predicted(set: SetSource, path: string, outOfFold: boolean, blockRows?: number): Promise<string[]> {
  const csvPath = join(await directory(), "csv");
  const choice = { which: "final", fold: 1, seed: 1 } as const;
  const model = { set, pooled: null, choice, outOfFold };
  const result = await predictBatch({ model, table: path, csvPath, blockRows }, () => undefined);
  const lines = readFileSync(csvPath, "utf8").trimEnd().split("\n");
  expect(result.rows).toBe(lines.length - 1);
  return lines;
}

describe("a set of 100 models in 7 shards", () => {
  test.each([false, true])(
    "has the same lines, however many rows are read at a time (out of fold: %s)",
    async (oof) => {
      const { set, table } = await trained();
      const lines = await predicted(set, table, oof);
      expect(lines).toHaveLength(301);
      expect(await predicted(set, table, oof, 7)).toEqual(lines);
      expect(await predicted(set, table, oof, 1)).toEqual(lines);
    },
  );

  test("gives a row its line wherever it stands", async () => {
    const { set, table } = await trained();
    const lines = await predicted(set, table, false);
    const order = rows
      .map((_, i) => i)
      .toSorted((a, b) => Number(rows[a].split(",")[0]) - Number(rows[b].split(",")[0]));
    const sorted = await tableOf(csv(order.map((i) => rows[i])));
    expect(await predicted(set, sorted, false)).toEqual([lines[0], ...order.map((i) => lines[i + 1])]);
  });
});
