// Who follows a job is told of news, whoever else follows it.
import { afterAll, beforeAll, expect, test } from "vitest";
import { News } from "../../src/queue/news.ts";
import type { Store } from "../../src/store/store.ts";
import { openStore, OWNER, postJob } from "../store/support.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";

let server: TestRedis;
let store: Store;
let news: News;

beforeAll(async () => {
  server = await startTestRedis();
  store = await openStore(server);
  news = new News(server.client({ maxRetriesPerRequest: null }));
});
afterAll(async () => {
  news.close();
  await server.stop();
});

const { signal } = new AbortController();

test("one of two who leaves does not take the news of the other along", async () => {
  const id = await postJob(store);
  const [leaving, staying] = [news.watch(id, ["event"]), news.watch(id, ["event"])];
  // What there may be since it was subscribed to.
  expect(await staying.wait(10_000, signal)).toBe(true);
  leaving.close();
  leaving.close();
  const later = news.watch(id, ["event"]);
  await store.jobs.pause(OWNER, id);
  expect(await staying.wait(10_000, signal)).toBe(true);
  expect(await later.wait(10_000, signal)).toBe(true);
  for (const watch of [staying, later]) watch.close();
});

test("news that was told of is news no more", async () => {
  const id = await postJob(store);
  const watch = news.watch(id, ["event"]);
  expect(await watch.wait(10_000, signal)).toBe(true);
  await store.jobs.pause(OWNER, id);
  expect(await watch.wait(10_000, signal)).toBe(true);
  await expect.poll(() => watch.wait(1, signal)).toBe(false);
  watch.close();
});
