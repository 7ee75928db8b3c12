// Long lists are read piece by piece.
import { ulid } from "ulid";
import { expect, test } from "vitest";
import { FIRST_READING } from "../../src/data/reading.ts";
import { OWNER } from "./support.ts";
import { setUpStore, store } from "./setup.ts";

setUpStore();

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
