// A job's end reaches its webhook from the whole service, set up as its users set it up, whenever
// it is killed.
import { createHmac, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { csv, specFor } from "../api/service.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";
import { startService, type ServiceProcess } from "../support/service.ts";
import { startReceiver, type Receiver } from "../webhooks/receiver.ts";

const secret = randomBytes(32);
let directory: string;
let redis: TestRedis;
let receiver: Receiver;
let service: ServiceProcess;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "rappel-webhooks-"));
  [redis, receiver] = await Promise.all([startTestRedis(), startReceiver()]);
});
afterAll(async () => {
  await Promise.all([redis.stop(), receiver.stop()]);
  rmSync(directory, { recursive: true });
});
beforeEach(() => {
  receiver.received.length = 0;
});
afterEach(() => service.stop());

async function start(env: NodeJS.ProcessEnv = {}): Promise<void> {
  service = await startService({
    env: {
      RAPPEL_DATA_DIR: directory,
      REDIS_URL: redis.url,
      RAPPEL_API_KEYS: "ann:s3cret",
      RAPPEL_WEBHOOK_SECRETS: `ann:whsec_${secret.toString("base64")}`,
      RAPPEL_WEBHOOK_ALLOW: "127.0.0.1",
      ...env,
    },
  });
  await service.ready;
}

/** A job that ends soon, but would train for longer than a small one if it did not stop early. */
const seeminglyLong = {
  model: { layers: [{ type: "linear", out_features: 256 }, { type: "relu" }, { type: "linear" }] },
  training: {
    epochs: 100_000,
    batch_size: 4,
    early_stopping: { metric: "valid_loss", patience: 1, min_delta: 1e6 },
  },
};

async function post(changes: Record<string, unknown> = {}): Promise<string> {
  const dataset = await ask("/v1/datasets", "text/csv", csv);
  const webhook = { url: `http://127.0.0.1:${receiver.port}/`, events: ["succeeded"] };
  return await ask("/v1/jobs", "application/json", JSON.stringify(specFor(dataset, { webhook, ...changes })));
}

/** Returns the id of what was made. */
async function ask(path: string, type: string, body: string): Promise<string> {
  const headers = { authorization: "Bearer s3cret", "content-type": type };
  const { address } = await service.ready;
  const response = await fetch(`${address}${path}`, { method: "POST", headers, body });
  const made = (await response.json()) as { id: string };
  if (!response.ok) throw new Error(JSON.stringify(made));
  return made.id;
}

test("a job that has succeeded sends its webhook, and no secret is logged at any level", async () => {
  await start({ RAPPEL_LOG_LEVEL: "trace", RAPPEL_ADMIN_KEY: "adm1n-key" });
  const id = await post();
  await expect.poll(() => receiver.received.length, { timeout: 20_000 }).toBe(1);
  const [{ headers, body }] = receiver.received;
  const content = `${String(headers["webhook-id"])}.${String(headers["webhook-timestamp"])}.${body}`;
  const expected = createHmac("sha256", secret).update(content).digest("base64");
  expect(headers["webhook-signature"]).toBe(`v1,${expected}`);
  expect(JSON.parse(body)).toMatchObject({ type: "job.succeeded", data: { job: { id, status: "succeeded" } } });

  const { address } = await service.ready;
  for (const authorization of ["Bearer s3cret-not", `Basic ${btoa("admin:adm1n-key")}`, "Bearer adm1n-key"]) {
    for (const path of ["/v1/jobs", "/admin/queues"]) await fetch(`${address}${path}`, { headers: { authorization } });
  }
  const { stderr } = await service.stop();
  const said = JSON.stringify(service.log) + stderr;
  expect(said).toContain("an API key of ann is shorter than 16 characters");
  for (const hidden of ["s3cret", "adm1n-key", btoa("admin:adm1n-key"), secret.toString("base64")]) {
    expect(said).not.toContain(hidden);
  }
});

test("a job that is not small sends its webhook too", async () => {
  await start({ RAPPEL_LOG_LEVEL: "info" });
  const ids = [await post(), await post(seeminglyLong)];
  await expect.poll(() => receiver.received.length, { timeout: 20_000 }).toBe(2);
  const told = receiver.received.map(({ body }) => JSON.parse(body) as { data: { job: { id: string } } });
  expect(told.map(({ data }) => data.job.id).sort()).toEqual(ids.toSorted());
  const trained = service.log.filter(({ msg }) => msg === "training");
  const inLane = ids.map((id) => trained.find(({ job_id }) => job_id === id)?.lane === true);
  expect(inLane).toEqual([true, false]);
});

test.each(["before-forward", "after-forward"])("a process that dies %s loses nothing", async (point) => {
  await start({ NODE_ENV: "test", RAPPEL_CRASH_AT: point });
  const id = await post();
  await service.ended;
  expect(service.process.signalCode).toBe("SIGKILL");
  await start();
  await expect.poll(() => receiver.received.length, { timeout: 20_000 }).toBeGreaterThanOrEqual(1);
  expect(JSON.parse(receiver.received[0].body)).toMatchObject({ data: { job: { id } } });
  const ids = receiver.received.map(({ headers }) => headers["webhook-id"]);
  expect(new Set(ids).size).toBe(1);
});

test("receivers that do not answer do not delay the end of the process, and get the message from the next process", async () => {
  receiver.answer(() => undefined);
  await start({ RAPPEL_SHUTDOWN_MS: "4000" });
  const id = await post();
  await expect.poll(() => receiver.received.length, { timeout: 20_000 }).toBe(1);
  expect((await service.stop()).code).toBe(0);
  expect(service.log.map(({ msg }) => msg)).not.toContainEqual(
    expect.stringContaining("not everything closed in time"),
  );
  receiver.answer((response) => response.writeHead(204).end());
  await start();
  await expect.poll(() => receiver.received.length, { timeout: 20_000 }).toBe(2);
  expect(JSON.parse(receiver.received[1].body)).toMatchObject({ data: { job: { id } } });
});
