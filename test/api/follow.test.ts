// What streams of one process have in common.
import { afterAll, beforeAll, expect, test } from "vitest";
import { Follower } from "../../src/api/follow.ts";
import { News } from "../../src/queue/news.ts";
import type { Store } from "../../src/store/store.ts";
import { acquire, OWNER, openStore, postJob, progressAt } from "../store/support.ts";
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

test("a stream that is woken does not use a read that began before", async () => {
  const id = await postJob(store);
  // Looks end when they are told to; what they saw is the record's.
  let gate = Promise.resolve();
  const jobs: Store["jobs"] = Object.create(store.jobs, {
    events: {
      value: async (...given: Parameters<Store["jobs"]["events"]>) => {
        const page = await store.jobs.events(...given);
        await gate;
        return page;
      },
    },
    progress: { value: (owner: string, job: string) => store.jobs.progress(owner, job) },
  });
  const follower = new Follower(jobs, news);
  const closing = new AbortController();
  const open = (after: string) => follower.follow({ owner: OWNER, id, progress: false }, after, closing.signal);
  const reported: string[] = [];
  const [{ id: created }] = (await store.jobs.events(OWNER, id, { limit: 1 }))!.data;
  const first = (async () => {
    for await (const text of open(created)) reported.push(text);
  })();
  // It has looked, also when it had subscribed, and waits.
  await new Promise((resolve) => setTimeout(resolve, 300));

  const { promise, resolve } = Promise.withResolvers<void>();
  gate = promise;
  const second = open(created);
  await second.next();
  const looking = second.next();
  await new Promise((done) => setTimeout(done, 100));
  await store.jobs.pause(OWNER, id);
  await new Promise((done) => setTimeout(done, 100));
  resolve();
  await expect.poll(() => reported.join(""), { timeout: 10_000 }).toContain("event: paused");
  closing.abort();
  await Promise.all([first, looking]);
});

test("a stream of an ended job sends all events, however many there are", async () => {
  const id = await postJob(store);
  const lease = await acquire(store, id);
  const evaluated = { type: "evaluated" as const, message: "Evaluated.", step: 1, data: null };
  await lease.report(
    1,
    progressAt(1),
    Array.from({ length: 250 }, () => evaluated),
    [],
  );
  const failed = { ...evaluated, type: "failed" as const };
  await lease.finish({ status: "failed", progress: null, events: [failed] }, []);
  const reported: string[] = [];
  const { signal } = new AbortController();
  const stream = new Follower(store.jobs, news).follow({ owner: OWNER, id, progress: false }, "0", signal);
  const silences: string[] = [];
  for await (const text of stream) {
    if (text === ":\n\n") silences.push(text);
    reported.push(...Array.from(text.matchAll(/^id: (\d+)$/gm), ([, event]) => event));
  }
  // It goes on without waiting for news.
  expect(silences).toEqual([]);
  expect(reported).toEqual(Array.from({ length: 253 }, (_, i) => String(i + 1)));
});

test("a stream that is opened later reads the record itself, not what an earlier stream read", async () => {
  const id = await postJob(store);
  const follower = new Follower(store.jobs, news);
  const closing = new AbortController();
  const follow = (progress: boolean) => follower.follow({ owner: OWNER, id, progress }, "0", closing.signal);
  const texts: string[] = [];
  // It keeps the channel, so that the later streams get no news of their own when they begin.
  const first = (async () => {
    for await (const text of follow(true)) texts.push(text);
  })();
  const read = async () => {
    const stream = follow(false);
    await stream.next();
    const { value } = await stream.next();
    await stream.return(undefined);
    return [...(value ?? "").matchAll(/^event: (\w+)$/gm)].map(([, type]) => type);
  };
  await expect.poll(() => texts.join(""), { timeout: 10_000 }).toContain("event: created");
  expect(await read()).toEqual(["created"]);
  await store.jobs.pause(OWNER, id);
  expect(await read()).toEqual(["created", "paused"]);
  closing.abort();
  await first;
});
