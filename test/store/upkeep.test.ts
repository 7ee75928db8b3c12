// What the reconciler asks of the store (src/store/upkeep.ts).
import { expect, test } from "vitest";
import type { OpenJob } from "../../src/store/upkeep.ts";
import { acquire, postJob } from "./support.ts";
import { setUpStore, store } from "./setup.ts";

setUpStore();

test("if two processes redeliver a lost job at once, only one does it", async () => {
  const id = await postJob(store);
  const { value } = await store.upkeep.openJobs().next();
  const [job] = value as OpenJob[];
  expect(job).toMatchObject({ id, delivery: 1 });
  const delivered = await Promise.all(Array.from({ length: 5 }, () => store.upkeep.redeliver(job)));
  expect(delivered.filter((delivery) => delivery !== null)).toEqual([2]);
});

test("a job that a run has taken meanwhile is not delivered again", async () => {
  const id = await postJob(store);
  const { value } = await store.upkeep.openJobs().next();
  const [job] = value as OpenJob[];
  expect(job).toMatchObject({ id, leased: false });
  await acquire(store, id);
  expect(await store.upkeep.redeliver(job)).toBeNull();
});

test("all open jobs are found, however many there are", async () => {
  const posted = await Promise.all(Array.from({ length: 1200 }, () => postJob(store)));
  const seen = new Set<string>();
  for await (const jobs of store.upkeep.openJobs()) for (const { id } of jobs) seen.add(id);
  expect([...seen].sort()).toEqual(posted.sort());
});
