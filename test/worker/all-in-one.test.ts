// The whole service in one process with its own Redis. While a job runs, the service or the Redis
// is killed.
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Dataset } from "../../src/contract/wire/dataset.ts";
import type { Job } from "../../src/contract/wire/job.ts";
import type { MetricSeries } from "../../src/contract/wire/metrics.ts";
import { makeDataDirectory } from "../support/redis.ts";
import { startService, type ServiceProcess } from "../support/service.ts";
import { csv, specFor } from "./support.ts";

let dataDirectory: string;
let service: ServiceProcess;
let address: string;

beforeEach(async () => {
  dataDirectory = makeDataDirectory();
  await start();
});
afterEach(async () => {
  await service.stop();
  rmSync(dataDirectory, { recursive: true });
});

async function start(): Promise<void> {
  service = await startService({ env: { RAPPEL_DATA_DIR: dataDirectory, RAPPEL_LEASE_MS: "1000" } });
  address = (await service.ready).address!;
}

async function ask<T>(path: string, body?: string, type?: string): Promise<T> {
  const init = body === undefined ? {} : { method: "POST", headers: { "content-type": type! }, body };
  const response = await fetch(`${address}${path}`, init);
  if (!response.ok) throw new Error(await response.text());
  return (await response.json()) as T;
}

async function post(): Promise<string> {
  const dataset = await ask<Dataset>("/v1/datasets", csv(), "text/csv");
  const spec = specFor(dataset.id, {
    model: { layers: [{ type: "linear", out_features: 512 }, { type: "relu" }, { type: "linear" }] },
    training: { epochs: 2000, batch_size: 32, seed: 5, log_every_steps: 100, eval_every_epochs: 100 },
    checkpoint: { every_steps: 1500, every_seconds: null },
  });
  return (await ask<Job>("/v1/jobs", JSON.stringify(spec), "application/json")).id;
}

/** An error counts as "not yet", because the service may be starting. */
async function until(id: string, condition: (job: Job) => boolean): Promise<Job> {
  for (;;) {
    const job = await ask<Job>(`/v1/jobs/${id}`).catch(() => null);
    if (job !== null && condition(job)) return job;
    await sleep(20);
  }
}

async function outcome(id: string) {
  const job = await until(id, ({ status }) => status === "succeeded" || status === "failed");
  const { series } = await ask<MetricSeries>(`/v1/jobs/${id}/metrics`);
  return { job, series };
}

function redisPid(): number {
  const file = readFileSync(join(dataDirectory, "redis.json"), "utf8");
  return (JSON.parse(file) as { process: { pid: number } }).process.pid;
}

test("service and Redis are killed while a job runs, and after the next start it ends the same", async () => {
  const first = await outcome(await post());
  expect(first.job.status).toBe("succeeded");

  const id = await post();
  await until(id, (job) => job.progress.last_checkpoint_step !== null);
  const redis = redisPid();
  service.process.kill("SIGKILL");
  process.kill(redis, "SIGKILL");
  await service.ended;
  while (existsSync(`/proc/${redis}`)) await sleep(10);
  await start();
  const taken = await until(id, (job) => job.run === 2);
  expect(taken.progress.step).toBeGreaterThanOrEqual(taken.progress.last_checkpoint_step!);
  const last = await outcome(id);
  expect(last.job.result).toEqual(first.job.result);
  expect(last.series).toEqual(first.series);
});

test("only Redis is killed while a job runs: the job holds until Redis is back, and goes on", async () => {
  const first = await outcome(await post());
  const id = await post();
  await until(id, (job) => job.progress.step > 2000);
  process.kill(redisPid(), "SIGKILL");
  const last = await outcome(id);
  expect(last.job).toMatchObject({ run: 1, result: first.job.result });
  expect(last.series).toEqual(first.series);
});
