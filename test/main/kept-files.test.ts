/**
 * An api that is killed while it keeps or deletes a dataset: afterwards each record has its files,
 * and the other dataset of the same bytes is unharmed.
 */
import { existsSync, readdirSync, rmSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { CrashPoint } from "../../src/crash-point.ts";
import { filesOf } from "../../src/data/dataset.ts";
import type { Dataset } from "../../src/contract/wire/dataset.ts";
import { makeDataDirectory, startTestRedis, type TestRedis } from "../support/redis.ts";
import { startService } from "../support/service.ts";

let redis: TestRedis;
const directory = makeDataDirectory();
const place = join(directory, "datasets");
beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(async () => {
  await redis.stop();
  rmSync(directory, { recursive: true });
});

async function start(crashAt: string) {
  const env = { REDIS_URL: redis.url, RAPPEL_DATA_DIR: directory, NODE_ENV: "test", RAPPEL_CRASH_AT: crashAt };
  const service = await startService({ env, args: ["--role", "api"] });
  const { address } = await service.ready;
  const call = async (method: string, path: string, body?: string) => {
    const headers = body === undefined ? undefined : { "content-type": "text/csv" };
    return await fetch(address + path, { method, headers, body });
  };
  const upload = async (body: string, query = "") => {
    const response = await call("POST", `/v1/datasets${query}`, body);
    return { status: response.status, dataset: (await response.json()) as Dataset };
  };
  const content = async ({ id }: Dataset) => {
    const response = await call("GET", `/v1/datasets/${id}/content`);
    return response.status === 200 ? await response.text() : response.status;
  };
  const remove = async ({ id }: Dataset) => (await call("DELETE", `/v1/datasets/${id}`)).status;
  return { service, upload, content, remove };
}

const otherwise = "?comment=%23";

test.each<[string, CrashPoint, string, boolean]>([
  ["between the files of an upload", "between-files", "between-files:2", true],
  ["when it has retired files", "after-retire", "after-retire", true],
  ["when it has removed a record", "after-unrecord", "after-unrecord", false],
])("an api that is killed %s leaves every record with its files, and no other file", async (_, point, at, stays) => {
  const csv = `x,y\n1,${point}\n2,b\n`;
  const dying = await start(at);
  const { dataset: first } = await dying.upload(csv);
  const doomed = point === "between-files" ? first : (await dying.upload(csv, otherwise)).dataset;
  const last = point === "between-files" ? dying.upload(csv, otherwise) : dying.remove(doomed);
  await expect(last).rejects.toThrow();
  await dying.service.ended;

  // The start sets right what an hour has passed over.
  const then = new Date(Date.now() - 3_700_000);
  for (const name of readdirSync(place)) utimesSync(join(place, name), then, then);
  const { service, upload, content, remove } = await start("");
  expect([await content(first), await content(doomed)]).toEqual([csv, stays ? csv : 404]);
  expect(readdirSync(place)).toEqual([...new Set([...filesOf(first), ...(stays ? filesOf(doomed) : [])])].toSorted());

  const again = await upload(csv, otherwise);
  expect(again.status).toBe(stays && doomed !== first ? 200 : 201);
  expect(filesOf(again.dataset).every((name) => existsSync(join(place, name)))).toBe(true);
  for (const dataset of [first, again.dataset]) expect(await remove(dataset)).toBe(204);
  expect(readdirSync(place)).toEqual([]);
  await service.stop();
});
