// The index of a set and its result.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { distributionOf } from "../../src/sets/distribution.ts";
import { SetIndex, type Listing } from "../../src/sets/set-index.ts";
import { ShardWriter, type ModelEntry } from "../../src/sets/shard-file.ts";
import { summarize } from "../../src/sets/summary.ts";
import { directory, noise } from "./support.ts";

const next = noise(23);

/** More models than a block of the index has; some have equal metrics, and some have none. */
const entries = Array.from({ length: 20_000 }, (_, number): ModelEntry => {
  const status = number % 7 === 3 ? "failed" : number % 50 === 9 ? "skipped" : "succeeded";
  const isDone = status === "succeeded";
  const metrics = { valid_loss: Math.round(next() * 500) / 100, valid_r2: number % 11 === 0 ? null : next() };
  return {
    number,
    key: { store: number >> 1 },
    fold: number % 2,
    seed: 0,
    status,
    error: isDone ? null : { code: "diverged", message: "It diverged.", suggestion: null, step: 3 },
    rows: 5 + (number % 90),
    steps: status === "skipped" ? null : number % 40,
    epochs: isDone ? 3 : null,
    stop_reason: isDone ? "completed" : null,
    metrics: isDone ? metrics : {},
    best: null,
    weights_sha256: null,
  };
});

async function shards(size: number): Promise<string[]> {
  const to = await directory();
  const paths: string[] = [];
  for (let from = 0; from < entries.length; from += size) {
    const path = join(to, `${from}`);
    const writer = await ShardWriter.create(path, from);
    for (const entry of entries.slice(from, from + size)) writer.add(entry, null);
    await writer.end();
    await writer.close();
    paths.push(path);
  }
  return paths;
}

const all: Listing = { limit: 100, after: null, status: null, sort: null };

test("the result and the index follow from the models, however they are cut", async () => {
  const to = await directory();
  const results = [];
  for (const [i, size] of [20_000, 7000, 999].entries()) {
    // Only the files of the shards depend on the cut.
    const { bytes, ...result } = await summarize({ shards: await shards(size), index: join(to, `${i}`) });
    expect(bytes).toBeGreaterThan((await readFile(join(to, `${i}`))).length);
    results.push(result);
  }
  expect(results[1]).toEqual(results[0]);
  expect(results[2]).toEqual(results[0]);
  const [one, ...others] = await Promise.all([0, 1, 2].map((i) => readFile(join(to, `${i}`))));
  for (const other of others) expect(one.equals(other)).toBe(true);

  const { models, metrics, distribution } = results[0];
  const count = (status: string) => entries.filter((entry) => entry.status === status).length;
  expect(models).toEqual({
    total: 20_000,
    succeeded: count("succeeded"),
    failed: count("failed"),
    skipped: count("skipped"),
  });
  const losses = entries.flatMap((entry) => entry.metrics.valid_loss ?? []);
  const mean = losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
  expect(metrics.valid_loss).toBe(mean);
  expect(distribution.valid_loss).toEqual(distributionOf(Float64Array.from(losses)));
  expect(distribution.valid_loss.max).toBe(losses.toSorted((a, b) => b - a)[0]);
});

test("models are listed by number, by status and by what they have, page by page", async () => {
  const path = join(await directory(), "index");
  await summarize({ shards: await shards(5000), index: path });
  const index = await SetIndex.open(path);
  try {
    const number = ({ number: own }: ModelEntry) => own;
    expect((await index.list({ ...all, after: 16_350 })).entries).toEqual(entries.slice(16_351, 16_451));
    const failed = await index.list({ ...all, status: "failed", after: 10_000 });
    expect(failed.entries).toEqual(
      entries.filter((entry) => entry.status === "failed" && entry.number > 10_000).slice(0, 100),
    );
    const value = (entry: ModelEntry) => entry.metrics.valid_r2 ?? Number.NaN;
    for (const descending of [false, true]) {
      const sorted = entries
        .filter((entry) => !Number.isNaN(value(entry)))
        .toSorted((a, b) => (descending ? value(b) - value(a) : value(a) - value(b)) || a.number - b.number);
      const lacking = entries.filter((entry) => Number.isNaN(value(entry)));
      const expected = [...sorted, ...lacking].map(number);
      const sort = { by: "metric.valid_r2", descending };
      let after: number | null = null;
      for (let page = 0; page < 3; page++) {
        const listed = await index.list({ ...all, after, sort });
        expect(listed.entries.map(number)).toEqual(expected.slice(page * 100, page * 100 + 100));
        expect(listed.hasMore).toBe(true);
        after = listed.entries.at(-1)!.number;
      }
      const end = await index.list({ ...all, sort, after: expected.at(-3)! });
      expect(end).toEqual({ entries: expected.slice(-2).map((own) => entries[own]), hasMore: false });
    }
  } finally {
    await index.close();
  }
});

test("a damaged index is told", async () => {
  const path = join(await directory(), "index");
  await summarize({ shards: (await shards(20_000)).slice(0, 1), index: path });
  const bytes = await readFile(path);
  const lists = [
    all,
    { ...all, status: "failed" as const },
    { ...all, sort: { by: "metric.valid_loss", descending: true } },
  ];
  for (const at of [20, 20_000, 200_000, bytes.length - 200, bytes.length - 60]) {
    const damaged = Buffer.from(bytes);
    damaged[at] ^= 1;
    await writeFile(`${path}-${at}`, damaged);
    const read = async () => {
      const index = await SetIndex.open(`${path}-${at}`);
      try {
        for (const list of lists) await index.list(list);
        await index.entries([...entries.keys()].filter((own) => own % 1000 === 0));
        for (const name of ["rows", "steps", "metric.valid_r2"]) await index.numbers(name);
      } finally {
        await index.close();
      }
    };
    await expect(read()).rejects.toThrow(/The index of a set (is|has a) damaged/);
  }
});

test("quantiles lie between the values, as numpy's", () => {
  expect(distributionOf(Float64Array.of(4, 1, 3, 2))).toEqual({
    mean: 2.5,
    std: Math.sqrt(1.25),
    min: 1,
    p10: 1.3,
    p50: 2.5,
    p90: 3.7,
    max: 4,
  });
  expect(distributionOf(Float64Array.of(7))).toEqual({ mean: 7, std: 0, min: 7, p10: 7, p50: 7, p90: 7, max: 7 });
});

test("huge values have a deviation too", () => {
  expect(distributionOf(Float64Array.of(0, 2e253))).toMatchObject({ mean: 1e253, std: 1e253 });
  expect(distributionOf(Float64Array.of(1e308, 1e308, 1e308))).toMatchObject({ mean: 1e308, std: 0 });
});
