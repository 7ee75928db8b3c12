// Every follower of a job hears its news, whoever else follows it.
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

test("if one of two followers leaves, the other still hears the news", async () => {
  const id = await postJob(store);
  const [leaving, staying] = [news.watch(id, ["event"]), news.watch(id, ["event"])];
  // The subscription itself counts as news.
  expect(await staying.wait(10_000, signal)).toBe(true);
  leaving.close();
  leaving.close();
  const later = news.watch(id, ["event"]);
  // It may have missed what came just before.
  expect(await later.wait(10_000, signal)).toBe(true);
  await store.jobs.pause(OWNER, id);
  expect(await staying.wait(10_000, signal)).toBe(true);
  expect(await later.wait(10_000, signal)).toBe(true);
  for (const watch of [staying, later]) watch.close();
});

test("the same news is delivered only once", async () => {
  const id = await postJob(store);
  const watch = news.watch(id, ["event"]);
  expect(await watch.wait(10_000, signal)).toBe(true);
  await store.jobs.pause(OWNER, id);
  expect(await watch.wait(10_000, signal)).toBe(true);
  await expect.poll(() => watch.wait(1, signal)).toBe(false);
  watch.close();
});
