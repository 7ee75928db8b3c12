import { apiKey } from "../../src/secrets.ts";
import { readFileSync } from "node:fs";
import { pino } from "pino";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buildWorkerApp } from "../../src/api/worker-app.ts";
import { registry } from "../../src/meters.ts";
import { retry, retrying } from "../../src/retries.ts";
import { FailureCode } from "../../src/contract/wire/job.ts";
import { csv, specFor, startService, type Service } from "./service.ts";

let service: Service;
beforeAll(async () => {
  const apiKeys = ["ann", "bob"].map((owner) => apiKey(owner, `of-${owner}`));
  service = await startService({ apiKeys });
});
afterAll(() => service.stop());

const ann = { authorization: "Bearer of-ann" };
const bob = { authorization: "Bearer of-bob" };

test("the status shows live workers, the queue and jobs, with ids of one's own jobs only", async () => {
  const dataset = await service.upload(csv, ann);
  const jobs = [await service.create(specFor(dataset.id), ann), await service.create(specFor(dataset.id), ann)];
  await service.call("POST", `/v1/jobs/${jobs[1].id}/cancel`, { headers: ann });
  await service.store.overview.beat({
    id: "worker_1",
    host: "trainer",
    pid: 7,
    started_at: "2026-11-22T09:30:00.000Z",
    draining: false,
    threads: { busy: 1, total: 4 },
    max_jobs: 2,
    running: [{ id: jobs[0].id, owner: "ann" }],
  });
  const { status, body } = await service.call("GET", "/v1/status", { headers: ann });
  expect(status).toBe(200);
  expect(body.workers).toEqual([
    {
      id: "worker_1",
      host: "trainer",
      pid: 7,
      started_at: "2026-11-22T09:30:00.000Z",
      draining: false,
      threads: { busy: 1, total: 4 },
      jobs: { running: 1, max: 2, ids: [jobs[0].id] },
    },
  ]);
  expect(body.jobs).toMatchObject({ queued: 1, running: 0, cancelled: 1 });
  expect(body.queue).toMatchObject({ waiting: 1, active: 0, delayed: 0 });
  expect(body.queue.oldest_seconds).toBeGreaterThan(0);
  const [seen] = (await service.call("GET", "/v1/status", { headers: bob })).body.workers;
  expect(seen.jobs).toEqual({ running: 1, max: 2, ids: [] });
});

test("status and metrics need a key", async () => {
  for (const path of ["/v1/status", "/metrics"]) {
    expect((await service.call("GET", path)).status).toBe(401);
    expect((await service.call("GET", path, { headers: bob })).status).toBe(200);
  }
});

test("metrics cover requests by route and status, jobs and the queue, and name no job and no owner", async () => {
  await service.call("GET", "/v1/jobs/job_01k3w9d0c8v6m2q4r7t5x1y9za", { headers: ann });
  await service.call("GET", "/nowhere/else", { headers: ann });
  const { text, headers } = await service.call("GET", "/metrics", { headers: ann });
  expect(headers["content-type"]).toMatch(/^text\/plain; version=0\.0\.4/);
  expect(text).toContain('rappel_http_request_seconds_count{method="GET",route="/v1/jobs/:id",status="404"} 1');
  expect(text).toContain('rappel_http_request_seconds_count{method="GET",route="none",status="404"} 1');
  expect(text).toContain('rappel_jobs{status="queued"} 1');
  expect(text).toContain('rappel_jobs{status="failed"} 0');
  expect(text).toContain('rappel_queue_deliveries{state="waiting"} 1');
  expect(text).toMatch(/^rappel_queue_oldest_seconds [\d.]+$/m);
  expect(text).toContain("rappel_workers 1");
  expect(text).toContain("rappel_redis_up 1");
  // An alert sees an increase only in a series that was there before.
  for (const what of ["columns", "dataset", "weights", "checkpoint", "model"]) {
    expect(text).toMatch(new RegExp(`^rappel_damage_total\\{what="${what}"\\} \\d+$`, "m"));
  }
  expect(text).toMatch(/^rappel_run_seconds_count\{end="postponed"\} \d+$/m);
  expect(text).toMatch(/^rappel_webhook_attempts_total\{result="given_up"\} \d+$/m);
  expect(text).toContain('rappel_job_ends_total{status="cancelled",code=""} 1');
  expect(text).toContain('rappel_job_ends_total{status="failed",code="crash_loop"} 0');
  expect(text).not.toMatch(/job_\d|ann|bob/);
});

test("the number of ended jobs is the same however often it is read", async () => {
  const ends = async () =>
    (await service.call("GET", "/metrics", { headers: ann })).text.match(/^rappel_job_ends.*$/gm);
  const before = await ends();
  expect(before).toHaveLength(2 + FailureCode.options.length);
  expect(await ends()).toEqual(before);
});

test("answers that wait are not measured; refusals and answers that do not wait are", async () => {
  const dataset = await service.upload(csv, ann);
  const { id } = await service.create(specFor(dataset.id), ann);
  const path = `/v1/jobs/${id}/progress`;
  const metric = async (name: string) => {
    const { text } = await service.call("GET", "/metrics", { headers: ann });
    return text.split("\n").find((line) => line.startsWith(name)) ?? null;
  };
  const polls = (status: number) =>
    metric(`rappel_http_request_seconds_count{method="GET",route="/v1/jobs/:id/progress",status="${status}"}`);
  const { headers } = await service.call("GET", path, { headers: ann });
  const known = { ...ann, "if-none-match": headers.etag };
  const polled = service.call("GET", `${path}?wait_ms=30000`, { headers: known }).then(({ status }) => status);
  await expect.poll(() => metric("rappel_http_long_lived")).toBe("rappel_http_long_lived 1");
  await service.call("POST", `/v1/jobs/${id}/cancel`, { headers: ann });
  expect(await polled).toBe(200);
  await expect.poll(() => metric("rappel_http_long_lived")).toBe("rappel_http_long_lived 0");
  expect(await polls(200)).toMatch(/ 1$/);
  expect((await service.call("GET", path, { headers: { ...known, "if-none-match": '"another"' } })).status).toBe(200);
  expect(await polls(200)).toMatch(/ 2$/);
});

test("alerts use existing metrics", async () => {
  const rules = readFileSync("deploy/alerts.yml", "utf8");
  const metrics = (await registry.getMetricsAsJSON()).map(({ name }) => name);
  const named = rules.match(/\brappel_\w+/g)!.map((name) => name.replace(/_(count|bucket)$/, ""));
  expect(metrics).toEqual(expect.arrayContaining(named));
});

test("docs/operations.md explains every metric of ours", async () => {
  const text = readFileSync("docs/operations.md", "utf8");
  for (const { name } of await registry.getMetricsAsJSON()) expect(text).toContain(`\`${name}\``);
});

test("while Redis is away the metrics say so, and leave out what is unknown", async () => {
  service.redis.kill();
  const metrics = async () => (await service.call("GET", "/metrics", { headers: ann })).text;
  await expect.poll(metrics).toContain("rappel_redis_up 0");
  expect(await metrics()).not.toMatch(/^rappel_(jobs|queue_deliveries|queue_oldest_seconds|workers)[{ ]/m);
  expect(await metrics()).toContain('status="404"} 1');
  await service.redis.restart();
  await expect.poll(metrics).toContain("rappel_redis_up 1");
});

test("a worker whose crew stands still is not alive, and answers with problem documents like the api", async () => {
  let still = false;
  const app = await buildWorkerApp({
    log: pino({ level: "silent" }),
    checks: {},
    livenessChecks: {
      crews() {
        if (still) throw new Error("the crew of job_1 has stood still for 31 seconds");
      },
    },
  });
  const get = async (url: string) => {
    const { statusCode, body } = await app.inject(url);
    return { status: statusCode, body };
  };
  expect(await get("/healthz")).toEqual({ status: 200, body: '{"status":"ok","checks":{"crews":"ok"},"retrying":[]}' });
  still = true;
  const dead = await get("/healthz");
  expect([dead.status, JSON.parse(dead.body)]).toEqual([
    503,
    { status: "unavailable", checks: { crews: "the crew of job_1 has stood still for 31 seconds" }, retrying: [] },
  ]);
  expect((await get("/readyz")).status).toBe(200);
  expect((await get("/metrics")).body).toContain("# TYPE rappel_steps_total counter");
  for (const [url, code] of [
    ["/v1/status", "not_found"],
    ["/%zz", "invalid_parameter"],
  ]) {
    expect(JSON.parse((await get(url)).body)).toMatchObject({ code });
  }
  await app.close();
});

test("a check that does not answer times out, and does not delay others", async () => {
  const log = pino({ level: "silent" });
  const app = await buildWorkerApp({
    log,
    checks: { redis: () => new Promise(() => {}), disk: () => {} },
    livenessChecks: {},
  });
  const { statusCode, body } = await app.inject("/readyz");
  expect(statusCode).toBe(503);
  expect(JSON.parse(body).checks).toEqual({ redis: "no answer within 2000 ms", disk: "ok" });
  await app.close();
});

test("what fails and is tried again shows in health and metrics, and in the log when it begins and when it ends", async () => {
  const said: Record<string, unknown>[] = [];
  const log = pino({}, { write: (line: string) => void said.push(JSON.parse(line) as Record<string, unknown>) });
  const app = await buildWorkerApp({ log: pino({ level: "silent" }), checks: {}, livenessChecks: {} });
  const get = async (url: string) => (await app.inject(url)).body;
  const calls = ["fails", "fails", "works"];
  const seen: unknown[] = [];
  const options = { loop: "room", log, waitMs: () => 1, signal: new AbortController().signal } as const;
  const passes = (error: unknown) => (error as Error).message === "fails";
  const result = await retry({ ...options, passes }, async () => {
    seen.push(JSON.parse(await get("/readyz")));
    const next = calls.shift()!;
    if (next === "fails") throw new Error(next);
    return next;
  });
  expect(result).toBe("works");
  const failing = (failures: number) => [{ loop: "room", count: 1, failures, seconds: 0 }];
  expect(seen.map((health) => (health as { retrying: unknown }).retrying)).toEqual([[], failing(1), failing(2)]);
  expect(seen).toEqual(seen.map(() => expect.objectContaining({ status: "ok" })));
  expect(JSON.parse(await get("/healthz")).retrying).toEqual([]);
  expect(await get("/metrics")).toContain('rappel_retries_total{loop="room"} 2');
  expect(said).toMatchObject([
    { level: 40, retry: "room", failures: 1, err: { message: "fails" } },
    { level: 30, retry: "room", failures: 2 },
  ]);

  const broken = retry({ ...options, passes }, () => Promise.reject(new RangeError("too many")));
  await expect(broken).rejects.toThrow("too many");
  expect(retrying()).toEqual([]);
  await app.close();
});
