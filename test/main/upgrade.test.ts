/**
 * What an earlier version left when it was killed is taken over: what it told is still told, what
 * it had not finished ends with its bytes, and nothing of it stays once it is deleted.
 * test/fixtures/upgrade/make.ts made it, and says what is in it.
 */
import { readdirSync, readFileSync, rmSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { afterAll, beforeAll, expect, test } from "vitest";
import { FIRST_READING } from "../../src/data/reading.ts";
import type { Client, JobAnswer } from "../fixtures/upgrade/client.ts";
import { receiver as place, secrets } from "../fixtures/upgrade/jobs.ts";
import { startReceiver, type Receiver } from "../webhooks/receiver.ts";
import { Upgraded } from "./upgraded.ts";

let upgraded: Upgraded;
let expected: Upgraded["expected"];
let receiver: Receiver;
let client: Client;
let redis: Redis;

beforeAll(async () => {
  receiver = await startReceiverAt(place);
  upgraded = await Upgraded.start("before");
  ({ expected, client } = upgraded);
  redis = new Redis(upgraded.redis);
});
afterAll(async () => {
  redis?.disconnect();
  await upgraded?.stop();
  await receiver?.stop();
});

/** The place is in the fixture: another run of this test may have it for a while. */
async function startReceiverAt(there: typeof place): Promise<Receiver> {
  for (;;) {
    try {
      return await startReceiver(there);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
      await sleep(200);
    }
  }
}

test("everything is read as it was", { timeout: 60_000 }, async () => {
  // What was asked of runs that are dead is done at the start.
  const asked = ["pausing", "cancelling"];
  const names = Object.keys(expected.jobs).filter((name) => !asked.includes(name));
  expect(names.length).toBeGreaterThan(30);
  await upgraded.expectSameAnswers(names);
});

test("idempotency keys, lists and datasets are found, and a key returns the job that it made", async () => {
  for (const { owner, id, body, key } of Object.values(expected.jobs).filter(({ key }) => key !== null)) {
    expect(await client.post(owner, "/v1/jobs", body, key)).toMatchObject({ id });
  }
  for (const owner of Object.keys(secrets)) {
    const listed: string[] = [];
    for (let after = ""; after !== "&after=null";) {
      const page = await client.get(owner, `/v1/jobs?limit=10${after}`);
      listed.push(...(page.data as JobAnswer[]).map(({ id }) => id));
      after = `&after=${String(page.next)}`;
    }
    const own = Object.values(expected.jobs).filter((one) => one.owner === owner);
    expect(listed).toEqual(
      own
        .map(({ id }) => id)
        .sort()
        .reverse(),
    );
  }
  for (const { owner, id } of Object.values(expected.datasets)) {
    const csv = await (await client.fetch(owner, `/v1/datasets/${id}/content`)).text();
    const old = await client.get(owner, `/v1/datasets/${id}`);
    expect(old).toMatchObject({ reading: FIRST_READING, columns_sha256: null });
    // Read by today's rules, the same bytes are another dataset.
    const today = await client.upload(owner, csv);
    expect(today).toMatchObject({ sha256: old.sha256, columns_sha256: expect.stringMatching(/^[0-9a-f]{64}$/) });
    expect(await client.upload(owner, csv)).toEqual(today);
    expect(await client.get(owner, `/v1/datasets/${id}`)).toEqual(old);
  }
});

test("unfinished jobs end with the same bytes", { timeout: 120_000 }, async () => {
  // The columns of one dataset are lost, and made again as they were.
  const { sha256 } = await client.get("ann", `/v1/datasets/${expected.datasets.iris.id}`);
  const columns = join(upgraded.directory, "api/datasets", `${String(sha256)}.columns`);
  truncateSync(columns, 100);
  rmSync(join(upgraded.directory, "worker/cache"), { recursive: true });
  await upgraded.startWorker();
  await upgraded.expectSameEnds();
  expect(readFileSync(columns, "latin1")).toContain('"reading":{"version":1,');
});

test("waiting webhooks arrive, except those for a receiver that refused more", { timeout: 60_000 }, async () => {
  const own = (name: string) =>
    receiver.received
      .map(({ body }) => JSON.parse(body) as { type: string; data: { job: { id: string } } })
      .filter(({ data }) => data.job.id === expected.jobs[name].id)
      .map(({ type }) => type);
  await expect.poll(() => own("webhook-waiting").sort(), { timeout: 30_000 }).toEqual(["job.started", "job.succeeded"]);
  expect(own("webhook-gone")).toEqual([]);
});

test("old jobs can be forked, and an unchanged fork has its parent's bytes", { timeout: 60_000 }, async () => {
  const fork = async (name: string, body: object) => {
    const made = await upgraded.fork(name, body);
    forks.push(made.id);
    return made;
  };
  for (const name of ["plain", "grouped", "fork-unchanged", "running-grouped"]) {
    const { status, result } = await fork(name, { step: "final" });
    const { weights_sha256 } = (await upgraded.job(name)).result!;
    expect({ name, status, result }).toMatchObject({ name, status: "succeeded", result: { weights_sha256 } });
  }
  // The default `mode` that they have stored is another than today's, and would be refused.
  for (const name of ["by-accuracy", "queued-by-accuracy"]) {
    expect((await upgraded.job(name)).spec).toMatchObject({ training: { early_stopping: { mode: "min" } } });
    const { status, spec } = await fork(name, { step: "final" });
    expect({ name, status, spec }).toMatchObject({
      name,
      status: "succeeded",
      spec: { training: { early_stopping: { mode: "max" } } },
    });
  }
  const longer = { step: "final", overrides: { training: { epochs: 2100 } } };
  expect(await fork("running-best", longer)).toMatchObject({ status: "succeeded" });
  expect(await fork("fork-best", { step: "final", optimizer: false })).toMatchObject({ status: "succeeded" });
  expect(await fork("running-best", { step: "best" })).toMatchObject({ status: "succeeded" });
});
const forks: string[] = [];

test("everything can be deleted, and nothing remains", { timeout: 60_000 }, async () => {
  const jobs = [...Object.values(expected.jobs), ...forks.map((id) => ({ owner: "ann", id }))];
  const paths = jobs.map(({ owner, id }) => ({ owner, path: `/v1/jobs/${id}` }));
  for (const owner of Object.keys(secrets)) {
    const { data } = await client.get(owner, "/v1/datasets?limit=100");
    paths.push(...(data as { id: string }[]).map(({ id }) => ({ owner, path: `/v1/datasets/${id}` })));
  }
  for (const { owner, path } of paths) {
    const { status } = await client.fetch(owner, path, { method: "DELETE" });
    expect({ path, status }).toEqual({ path, status: 204 });
  }
  const left = await redis.keys("{rappel}:owner:*");
  const permanent = await Promise.all(left.map(async (key) => [key, await redis.ttl(key)] as const));
  expect(permanent.filter(([, seconds]) => seconds < 0)).toEqual([]);
  expect(await redis.hget("{rappel}:room", "promised")).toBeNull();
  for (const key of ["open", "ended", "pending", "statuses", "waiting", "files", "outbox"]) {
    expect({ key, type: await redis.type(`{rappel}:${key}`) }).toEqual({ key, type: "none" });
  }
  expect(readdirSync(join(upgraded.directory, "api/datasets")).filter((file) => /\.(csv|columns)$/.test(file))).toEqual(
    [],
  );
});
