import { existsSync, readdirSync, rmSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { makeDataDirectory, startTestRedis } from "../support/redis.ts";
import { startService } from "../support/service.ts";

test("a Redis that lost its data is noticed, even after restarts, until the data are restored or the loss is accepted", async () => {
  const redis = await startTestRedis();
  const directory = makeDataDirectory();
  onTestFinished(async () => {
    await redis.stop();
    rmSync(directory, { recursive: true });
  });
  const client = redis.client();
  const settings = { REDIS_URL: redis.url, RAPPEL_DATA_DIR: directory, RAPPEL_OWNER_MAX_WAITING: "3" };
  const start = async () => {
    const service = await startService({ env: settings, args: ["--role", "api"] });
    const { address } = await service.ready;
    const ready = async () => {
      const response = await fetch(`${address}/readyz`);
      const { checks } = (await response.json()) as { checks: Record<string, string> };
      return [response.status, checks.epoch];
    };
    return { service, address, ready };
  };
  let { service, address, ready } = await start();
  const body = "x,y\n1,2\n3,4\n";
  const headers = { "content-type": "text/csv" };
  const { sha256 } = (await (await fetch(`${address}/v1/datasets`, { method: "POST", headers, body })).json()) as {
    sha256: string;
  };
  expect(await ready()).toEqual([200, "ok"]);
  const backup = await Promise.all(
    (await client.keys("*")).map(async (key) => [key, (await client.dumpBuffer(key))!] as const),
  );
  const limits = await client.hgetall("{rappel}:limits");
  expect(limits).toMatchObject({ waiting: "3" });

  // Once it has seen what there was.
  await expect.poll(() => ready()).toEqual([200, "ok"]);
  await client.flushall();
  const [status, said] = await ready();
  expect(status).toBe(503);
  expect(said).toContain("Redis came back without the data that belong to this data directory");
  expect(said).toContain("It had 0 jobs and 2 files of datasets.");
  // However often it is asked, it is in the log once.
  for (let i = 0; i < 3; i++) expect(await ready()).toEqual([status, said]);
  expect(service.log.filter(({ level, msg }) => level === "error" && msg === said)).toHaveLength(1);
  // What the service itself had written is there again.
  expect(await client.hgetall("{rappel}:limits")).toEqual(limits);

  // A start does not take the files for leftovers, even if another dataset has a record by now.
  await fetch(`${address}/v1/datasets`, { method: "POST", headers, body: `${body}5,6\n` });
  const path = join(directory, "datasets", `${sha256}.csv`);
  const then = new Date(Date.now() - 3_700_000);
  utimesSync(path, then, then);
  await service.stop();
  ({ service, address, ready } = await start());
  expect((await ready())[0]).toBe(503);
  expect(existsSync(path)).toBe(true);

  for (const [key, value] of backup) await client.restore(key, 0, value, "REPLACE");
  expect(await ready()).toEqual([200, "ok"]);

  // It ends, and comes back without its files.
  redis.kill();
  for (const name of readdirSync(redis.directory))
    rmSync(join(redis.directory, name), { recursive: true, force: true });
  await redis.restart();
  await expect.poll(() => ready(), { timeout: 10_000 }).toEqual([503, said]);
  rmSync(join(directory, "epoch"));
  expect(await ready()).toEqual([200, "ok"]);
  await service.stop();
});
