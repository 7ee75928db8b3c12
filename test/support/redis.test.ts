import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestRedis, type TestRedis } from "./redis.ts";

let redis: TestRedis;
beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(() => redis.stop());

test("the test server keeps its data over a kill and a restart, and is not shared", async () => {
  const other = await startTestRedis();
  const client = redis.client();
  await client.set("key", "kept");
  expect(await other.client().get("key")).toBeNull();
  await other.stop();

  const before = redis.pid;
  redis.kill();
  await redis.restart();
  expect(redis.pid).not.toBe(before);
  expect(await client.get("key")).toBe("kept");
});
