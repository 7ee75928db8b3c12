import { pino } from "pino";
import { expect, onTestFinished, test } from "vitest";
import { Presence } from "../../src/worker/presence.ts";
import { openStore } from "../store/support.ts";
import { startTestRedis } from "../support/redis.ts";

test("a worker that has ended does not count as alive", async () => {
  const server = await startTestRedis();
  onTestFinished(() => server.stop());
  const { overview } = await openStore(server);
  const doing = { draining: false, threads: { busy: 0, total: 2 }, max_jobs: 1, running: [] };
  const presence = new Presence(overview, () => doing, pino({ level: "silent" }));
  await expect.poll(() => overview.workers()).toMatchObject([doing]);
  await presence.close();
  expect(await overview.workers()).toEqual([]);
});
