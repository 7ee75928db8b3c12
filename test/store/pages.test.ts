// Long lists are read piece by piece.
import { ulid } from "ulid";
import { expect, test } from "vitest";
import { FIRST_READING } from "../../src/data/reading.ts";
import { metricRows, OWNER, postJob } from "./support.ts";
import { redis, setUpStore, store } from "./setup.ts";

setUpStore();

test("rows of metrics come a few hundred at a time, none twice and none missing", async () => {
  const id = await postJob(store);
  const rows = Array.from({ length: 1600 }, (_, step) =>
    // Several rows of one step, so that pages end between them.
    Array.from({ length: 1 + (step % 3) }, (_, n) => ({
      step,
      [["train_loss", "valid_loss", "grad_norm"][n]]: step / 7,
    })),
  ).flat();
  for (const row of rows)
    redis.zadd(`{rappel}:owner:${OWNER}:job:${id}:metrics`, row.step, JSON.stringify(row)).catch(() => undefined);
  await redis.ping();
  const read = async (from?: number, to?: number) => {
    const pages: string[][] = [];
    for await (const page of store.jobs.metricPages(OWNER, id, from, to)) pages.push(page);
    expect(Math.max(...pages.map((page) => page.length))).toBeLessThanOrEqual(503);
    return pages.flat();
  };
  const texts = (among: typeof rows) => among.map((row) => JSON.stringify(row)).sort();
  expect((await read()).toSorted()).toEqual(texts(rows));
  expect((await read(100, 1400)).toSorted()).toEqual(texts(rows.filter(({ step }) => step >= 100 && step <= 1400)));
  expect(await metricRows(store, OWNER, "job_0")).toBeNull();
});

test("a page of datasets ends early if their records are large", async () => {
  const names = ["a", "b", "c"];
  for (const name of names) {
    const columns = [
      {
        name: "x".repeat(600_000),
        type: "numeric",
        missing: 0,
        min: 0,
        max: 1,
        mean: 0,
        classes: null,
        all_different: false,
        reason: null,
      },
    ] as const;
    const id = `ds_${ulid().toLowerCase()}`;
    await store.datasets.put(OWNER, {
      id,
      name,
      format: "csv",
      sha256: name,
      bytes: 1,
      reading: FIRST_READING,
      columns_sha256: name,
      rows: 1,
      columns: [...columns],
    });
  }
  const first = await store.datasets.list(OWNER, { limit: 100 });
  expect([first.data.map(({ name }) => name), first.has_more]).toEqual([["c", "b"], true]);
  const second = await store.datasets.list(OWNER, { limit: 100, after: first.next! });
  expect([second.data.map(({ name }) => name), second.has_more, second.next]).toEqual([["a"], false, null]);
});
