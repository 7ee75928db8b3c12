/** The same study, trained by one worker and by several that are killed, under two controllers. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { pino } from "pino";
import type { Services } from "../../src/api/services.ts";
import { StudyController } from "../../src/api/study-controller.ts";
import { DatasetFiles } from "../../src/data/files/dataset-files.ts";
import { News } from "../../src/queue/news.ts";
import { keys } from "../../src/store/keys.ts";
import { startProcess, type WorkerProcess } from "../worker/support.ts";
import { specFor, startService, type Service } from "./service.ts";
import { over, read, study, trialsOf, until, withoutJobs } from "./studies.ts";

let service: Service;
let workers: WorkerProcess[] = [];
beforeAll(async () => {
  service = await startService();
});
afterAll(async () => {
  await kill();
  await service.stop();
});

async function start(count: number): Promise<void> {
  const env = { REDIS_URL: service.redis.url, DATA_DIR: service.directory };
  workers.push(...(await Promise.all(Array.from({ length: count }, () => startProcess(env)))));
}

async function kill(count = workers.length): Promise<void> {
  const killed = workers.splice(0, count);
  for (const worker of killed) worker.kill("SIGKILL");
  await Promise.all(killed.map(({ exited }) => exited));
}

const TRIALS = 20;
const data = { synthetic: { type: "two_moons", rows: 60 }, target: "target", validation: { every: 5 } };
const asked = {
  spec: specFor("", { data, training: { epochs: 9, batch_size: 8 } }),
  space: {
    "/optimizer": { choice: [{ type: "sgd" }, { type: "adam" }] },
    "/optimizer/lr": { log_uniform: [1e-3, 1e15] },
    "/optimizer/momentum": { uniform: [0, 0.9], when: { "/optimizer/type": ["sgd"] } },
  },
  trials: TRIALS,
  parallel: 5,
  pruner: { type: "asha" },
};

async function ended(id: string) {
  const { best, trials_sha256, status } = await over(service, id);
  const trials = withoutJobs(await trialsOf(service, id));
  return { status, trials_sha256, best: { ...best, job: null }, trials };
}

test("workers and controllers that come and go change nothing", async () => {
  await start(1);
  const alone = await ended((await study(service, asked)).id);
  const statuses = new Set(alone.trials.map(({ status }) => status));
  expect(statuses).toEqual(new Set(["succeeded", "pruned", "failed"]));
  expect(alone.trials.find(({ status }) => status === "failed")!.error).not.toBeNull();

  await start(2);
  const news = new News(service.redis.client({ maxRetriesPerRequest: null }));
  const { store, queue } = service;
  const config = {
    maxJobBytes: 2 ** 26,
    maxStateBytes: 2 ** 23,
    redisMaxBytes: 2 ** 28,
    webhookHosts: [],
    webhookSecrets: new Map(),
  };
  const files = new DatasetFiles(service.directory);
  const services = { store, queue, files, news, config } as unknown as Services;
  const { id } = await study(service, asked);
  const redis = service.redis.client();
  for (const count of [2, 6, 10, 14, 17]) {
    await until(
      () => read(service, id),
      ({ trials }) => trials.ended >= count,
    );
    // Another process takes the turn, while the first still believes that it has it.
    await redis.del(keys.studiesTurn);
    const other = new StudyController(services, pino({ level: "silent" }));
    other.start();
    await Promise.all([kill(1), start(1)]);
    await until(
      () => read(service, id),
      ({ trials, finished_at }) => trials.ended > count || finished_at !== null,
    );
    await other.close();
  }
  expect(await ended(id)).toEqual(alone);
  news.close();
}, 120_000);

const population = {
  ...asked,
  space: {
    "/optimizer/lr": { log_uniform: [1e-3, 1e15] },
    "/optimizer/weight_decay": { uniform: [0, 0.1] },
    "/schedule": { choice: [{ type: "constant" }, { type: "exponential", gamma: 0.9 }] },
  },
  spec: specFor("", { data, optimizer: { type: "adamw" }, training: { epochs: 3, batch_size: 8 } }),
  sampler: { type: "population_based", population: 5, quantile: 0.4 },
  pruner: { type: "none" },
  trials: 20,
  seeds: 2,
};

test("a population has the same trials with any number of workers", async () => {
  await kill();
  await start(1);
  const one = await study(service, population);
  const alone = await ended(one.id);
  const ends = new Set(alone.trials.map(({ status }) => status));
  expect(ends).toEqual(new Set(["succeeded", "failed"]));
  await start(2);
  const { id } = await study(service, { ...population, trials: 10 });
  await until(
    () => read(service, id),
    ({ trials }) => trials.ended >= 6,
  );
  await Promise.all([kill(1), start(1)]);
  expect((await over(service, id)).status).toBe("succeeded");
  await service.call("POST", `/v1/studies/${id}/trials`, { body: { total: 20 } });
  expect(await ended(id)).toEqual(alone);

  // A trial that went on with its own values has the weights of one job of as many epochs.
  const trials = await trialsOf(service, one.id);
  const steady = trials.slice(15).find(({ from, values, status }) => {
    const same = (number: number | null): boolean =>
      number === null ||
      (JSON.stringify(trials[number].values) === JSON.stringify(values) && same(trials[number].from));
    return status === "succeeded" && same(from);
  })!;
  for (const [seed, id] of steady.jobs.entries()) {
    const job = (await service.store.jobs.get("default", id))!;
    expect(job.parent).toMatchObject({ job_id: trials[steady.from!].jobs[seed] });
    expect(job.spec.training.epochs).toBe(12);
    const { spec } = (await service.store.jobs.get("default", trials[steady.number - 15].jobs[seed]))!;
    const straight = await service.create({ ...spec, training: { ...spec.training, epochs: 12 } });
    const { result } = await until(
      async () => (await service.store.jobs.get("default", straight.id))!,
      ({ finished_at }) => finished_at !== null,
    );
    expect(result!.weights_sha256).toBe(job.result!.weights_sha256);
  }
}, 120_000);

test("a trial whose parent was deleted has failed, and the study goes on", async () => {
  await kill();
  await start(1);
  const sampler = { type: "population_based", population: 2 };
  const space = { "/optimizer/lr": { uniform: [0.01, 0.1] } };
  const { id } = await study(service, { ...population, sampler, space, trials: 2, seeds: 1 });
  const { best } = await over(service, id);
  for (const { jobs } of await trialsOf(service, id)) {
    expect((await service.call("DELETE", `/v1/jobs/${jobs[0]}`)).status).toBe(204);
  }
  await service.call("POST", `/v1/studies/${id}/trials`, { body: { total: 4 } });
  expect(await over(service, id)).toMatchObject({ status: "succeeded", best: { trial: best!.trial } });
  const [, , ...next] = await trialsOf(service, id);
  for (const { status, error } of next) {
    expect([status, error]).toEqual(["failed", expect.stringMatching(/job_\w+, which was deleted/)]);
  }
}, 120_000);
