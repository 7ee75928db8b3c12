import { afterAll, beforeAll, expect, test } from "vitest";
import { Control } from "../../src/queue/control.ts";
import { keys } from "../../src/store/keys.ts";
import { acquire, openStore, OWNER, postJob } from "../store/support.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";

let server: TestRedis;
beforeAll(async () => {
  server = await startTestRedis();
});
afterAll(() => server.stop());

test("a run hears what is wanted of its own job, as long as it listens, also after an outage", async () => {
  const store = await openStore(server);
  const connection = server.client({ maxRetriesPerRequest: null });
  const control = new Control(connection);
  const redis = server.client();
  const listening = () =>
    expect.poll(async () => (await redis.pubsub("NUMSUB", keys.control))[1], { timeout: 10_000 }).toBe(1);
  await listening();
  const heard: string[] = [];
  const [one, other] = [await postJob(store), await postJob(store)];
  for (const id of [one, other]) {
    await acquire(store, id);
    control.listen(id, (status) => void heard.push(`${id} ${status}`));
  }
  await store.jobs.pause(OWNER, one);
  await expect.poll(() => heard).toEqual([`${one} pausing`]);
  await redis.call("CLIENT", "KILL", "TYPE", "pubsub");
  await listening();
  await store.jobs.cancel(OWNER, one);
  await expect.poll(() => heard).toEqual([`${one} pausing`, `${one} cancelling`]);
  control.unlisten(one);
  await store.jobs.cancel(OWNER, one);
  await store.jobs.cancel(OWNER, other);
  await expect.poll(() => heard.slice(2)).toEqual([`${other} cancelling`]);
  // Whoever begins to listen is told that there was a message before.
  await expect.poll(() => control.listen(one, () => undefined)).toBe(true);
  expect(control.listen(one, () => undefined)).toBe(false);
  control.close();
  await expect.poll(() => connection.status).toBe("end");
});
