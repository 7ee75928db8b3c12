/**
 * What an earlier version left when it was killed is taken over: what it told is still told, what
 * it had not finished ends with its bytes, and nothing of it stays once it is deleted.
 * test/fixtures/upgrade/make.ts made it, and says what is in it.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Redis } from "ioredis";
import { afterAll, beforeAll, expect, test } from "vitest";
import { FIRST_READING } from "../../src/data/reading.ts";
import { ARITHMETIC_VERSION } from "../../src/engine/kernels/kernels.ts";
import { Client, type Answers, type JobAnswer } from "../fixtures/upgrade/client.ts";
import { receiver as place, secrets } from "../fixtures/upgrade/jobs.ts";
import { cacheDirectory } from "../support/redis.ts";
import { startService, type ServiceProcess } from "../support/service.ts";
import { startReceiver, type Receiver } from "../webhooks/receiver.ts";

interface Expected {
  /** By name. */
  readonly datasets: Record<string, { owner: string; id: string }>;
  readonly jobs: Record<string, { owner: string; id: string; body: object; key: string | null }>;
  /** What the earlier version answered before it was killed. */
  readonly answers: Record<string, Answers>;
  /** What it made of a copy. */
  readonly results: Record<string, { status: string; result: { weights_sha256: string } | null }>;
}

let directory: string;
let expected: Expected;
let receiver: Receiver;
let api: ServiceProcess;
let client: Client;
let redis: Redis;
const services: ServiceProcess[] = [];

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "rappel-upgraded-"));
  const fixture = fileURLToPath(new URL("../fixtures/upgrade/before.tgz", import.meta.url));
  execFileSync("tar", ["-C", directory, "--no-same-owner", "-xzf", fixture]);
  expected = JSON.parse(readFileSync(join(directory, "expected.json"), "utf8")) as Expected;
  for (const role of ["api", "worker"]) symlinkSync(cacheDirectory(), join(directory, role, "tools"));
  const keys = Object.entries(secrets).map(([owner, secret]) => `${owner}:${secret}`);
  writeFileSync(join(directory, "keys"), keys.join("\n"), { mode: 0o600 });
  receiver = await startReceiverAt(place);
  api = await start("api", {
    RAPPEL_API_KEYS_FILE: join(directory, "keys"),
    RAPPEL_WEBHOOK_SECRETS: `ann:whsec_${Buffer.alloc(32, 7).toString("base64")}`,
    RAPPEL_WEBHOOK_ALLOW: place.host,
    // The fixture is as old as it is.
    RAPPEL_KEEP_JOBS_DAYS: "36500",
  });
  const ready = await api.ready;
  client = new Client(ready.address!);
  redis = new Redis(ready.redis);
});
afterAll(async () => {
  redis?.disconnect();
  for (const service of services.toReversed()) await service.stop();
  await receiver?.stop();
  rmSync(directory, { recursive: true });
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

async function start(role: "api" | "worker", env: NodeJS.ProcessEnv): Promise<ServiceProcess> {
  const service = await startService({
    args: ["--role", role],
    env: { RAPPEL_DATA_DIR: join(directory, role), ...env },
  });
  services.push(service);
  await service.ready;
  return service;
}

const job = async (name: string) => await client.job(expected.jobs[name].owner, expected.jobs[name].id);
const ended = ({ status }: JobAnswer) => ["succeeded", "failed", "cancelled"].includes(status);

async function untilEnded(owner: string, id: string): Promise<JobAnswer> {
  await expect.poll(async () => ended(await client.job(owner, id)), { timeout: 60_000, interval: 50 }).toBe(true);
  return await client.job(owner, id);
}

/** Whatever was answered is answered: something may have been added. */
function withoutText(answers: Answers): Answers {
  const bodies = Object.entries(answers).map(([path, { sha256, ...answer }]) => [
    path,
    "body" in answer ? answer : { ...answer, ...(sha256 === undefined ? {} : { sha256 }) },
  ]);
  return Object.fromEntries(bodies) as Answers;
}

test("everything is read as it was", { timeout: 60_000 }, async () => {
  // What was asked of runs that are dead is done at the start.
  const asked = ["pausing", "cancelling"];
  const names = Object.keys(expected.jobs).filter((name) => !asked.includes(name));
  expect(names.length).toBeGreaterThan(30);
  for (const name of names) {
    const { owner, id } = expected.jobs[name];
    expect({ name, ...(await client.answers(owner, id)) }).toMatchObject({
      name,
      ...withoutText(expected.answers[name]),
    });
  }
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
  const { redis: redisUrl, address } = await api.ready;
  // The columns of one dataset are lost, and made again as they were.
  const { sha256 } = await client.get("ann", `/v1/datasets/${expected.datasets.iris.id}`);
  const columns = join(directory, "api/datasets", `${String(sha256)}.columns`);
  truncateSync(columns, 100);
  rmSync(join(directory, "worker/cache"), { recursive: true });
  await start("worker", { REDIS_URL: redisUrl, RAPPEL_API_URL: address!, RAPPEL_JOBS: "4" });
  for (const name of ["paused", "paused-unbegun", "pausing"]) {
    await expect.poll(async () => (await job(name)).status, { timeout: 20_000 }).toBe("paused");
    await client.post("ann", `/v1/jobs/${expected.jobs[name].id}/resume`);
  }
  for (const [name, { status, result }] of Object.entries(expected.results)) {
    const { owner, id } = expected.jobs[name];
    const found = await untilEnded(owner, id);
    const before = expected.answers[name][""].body as JobAnswer;
    const events = (await client.get(owner, `/v1/jobs/${id}/events?limit=100`)).data as { type: string }[];
    const types = events.map(({ type }) => type);
    expect({ name, status: found.status }).toEqual({ name, status });
    expect({ name, ...found.result }).toMatchObject({ name, ...result });
    const begun = before.run > 0 && found.run > before.run;
    const changed = begun && before.arithmetic_version !== ARITHMETIC_VERSION;
    expect({ name, reported: types.includes("arithmetic_changed") }).toEqual({ name, reported: changed });
  }
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
    const { id } = await client.post("ann", `/v1/jobs/${expected.jobs[name].id}/fork`, body);
    forks.push(id);
    return await untilEnded("ann", id);
  };
  for (const name of ["plain", "grouped", "fork-unchanged", "running-grouped"]) {
    const { status, result } = await fork(name, { step: "final" });
    const { weights_sha256 } = (await job(name)).result!;
    expect({ name, status, result }).toMatchObject({ name, status: "succeeded", result: { weights_sha256 } });
  }
  // The default `mode` that they have stored is another than today's, and would be refused.
  for (const name of ["by-accuracy", "queued-by-accuracy"]) {
    expect((await job(name)).spec).toMatchObject({ training: { early_stopping: { mode: "min" } } });
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
  expect(readdirSync(join(directory, "api/datasets")).filter((file) => /\.(csv|columns)$/.test(file))).toEqual([]);
});
