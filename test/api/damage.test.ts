// Bits that flip in what Redis keeps: a run goes on from what is sound, to the same bytes, and
// nobody is served anything else.
import { rmSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import { afterAll, beforeAll, expect, test } from "vitest";
import { columnsFile, csvFile } from "../../src/data/dataset.ts";
import type { Checkpoint } from "../../src/contract/wire/checkpoint.ts";
import type { Event } from "../../src/contract/wire/event.ts";
import type { Job } from "../../src/contract/wire/job.ts";
import { ended, startProcess, type WorkerProcess } from "../worker/support.ts";
import { specFor, startService, type Service } from "./service.ts";

let service: Service;
let redis: Redis;
let dataset: string;
let worker: WorkerProcess;
let undamaged: { job: Job; series: unknown };

const startWorker = () => startProcess({ REDIS_URL: service.redis.url, DATA_DIR: service.directory });

beforeAll(async () => {
  service = await startService();
  redis = service.redis.client();
  const rows = Array.from({ length: 300 }, (_, i) => `${Math.sin(i)},${(i * 7) % 11},${["cat", "dog", "emu"][i % 3]}`);
  dataset = (await service.upload(["x,y,label", ...rows].join("\n"))).id;
  worker = await startWorker();
  undamaged = await outcome((await service.create(spec())).id);
});
afterAll(async () => {
  worker.kill("SIGKILL");
  await worker.exited;
  await service.stop();
});

/** Some seconds of training: a job must not end before it is paused or its worker is killed. */
const EPOCHS = 300;
const LAST = EPOCHS * 30;
const layers = [{ type: "linear", out_features: 256 }, { type: "relu" }, { type: "linear", out_features: 256 }];
const checkpoint = { every_steps: 100, every_seconds: null, keep_last: 3, keep_best: true };
const spec = (changes: Record<string, unknown> = {}) =>
  specFor(dataset, {
    model: { layers: [...layers, { type: "relu" }, { type: "linear" }] },
    training: { epochs: EPOCHS, batch_size: 8, seed: 5 },
    optimizer: { type: "adam" },
    checkpoint,
    ...changes,
  });

const get = async <T = Job>(path: string) => (await service.call("GET", `/v1/jobs/${path}`)).body as T;
const events = async (id: string) => (await get<{ data: Event[] }>(`${id}/events?limit=100`)).data;
const stepsOf = async (id: string) =>
  (await get<{ data: Checkpoint[] }>(`${id}/checkpoints`)).data.map(({ step }) => step);

/** As often as need be; a test has its own limit. */
async function until(id: string, condition: (job: Job) => boolean | Promise<boolean>): Promise<Job> {
  for (;;) {
    const job = await get(id);
    if (await condition(job)) return job;
    await sleep(5);
  }
}

async function outcome(id: string) {
  const job = await until(id, ended);
  return { job, series: (await get<{ series: unknown }>(`${id}/metrics`)).series };
}

/** Pauses a job once it is `ready`; another one like it if it was over before that. */
async function paused(create: () => Promise<Job>, ready: (job: Job) => Promise<boolean>): Promise<string> {
  for (;;) {
    const { id } = await create();
    await until(id, async (job) => ended(job) || (await ready(job)));
    await service.call("POST", `/v1/jobs/${id}/pause`);
    if ((await until(id, (job) => job.status === "paused" || ended(job))).status === "paused") return id;
  }
}

const checkpoints = (count: number) => async (job: Job) => (await stepsOf(job.id)).length >= count;

const pastOrigin = async (job: Job) => job.progress.step > LAST;

const manifestOf = (id: string, step: number) => `{rappel}:owner:default:job:${id}:checkpoint:${step}`;
const chunkOf = (id: string, blob: string) => `{rappel}:owner:default:job:${id}:chunk:${blob}:0`;

async function flip(chunk: string): Promise<void> {
  const bytes = (await redis.getBuffer(chunk))!;
  bytes[bytes.length - 7] ^= 4;
  await redis.setrange(chunk, bytes.length - 7, bytes.subarray(-7, -6));
}

async function flipCheckpoint(id: string, step: number): Promise<void> {
  await flip(chunkOf(id, (await redis.hget(manifestOf(id, step), "blob"))!));
}

const damages: [string, (id: string, steps: number[]) => Promise<unknown>, number][] = [
  [
    "a bit of its newest checkpoint and a lost chunk of the one before",
    async (id, [newest, before]) => {
      await flipCheckpoint(id, newest);
      await redis.del(chunkOf(id, (await redis.hget(manifestOf(id, before), "blob"))!));
    },
    2,
  ],
  ["the lost manifest of its newest checkpoint", (id, [newest]) => redis.del(manifestOf(id, newest)), 1],
  ["all of its checkpoints", async (id, steps) => Promise.all(steps.map((step) => flipCheckpoint(id, step))), Infinity],
];

test.each(damages)("a job with damage in %s ends as if there was none", async (_, damage, count) => {
  const id = await paused(() => service.create(spec()), checkpoints(3));
  const steps = await stepsOf(id);
  await damage(id, steps);
  await service.call("POST", `/v1/jobs/${id}/resume`);
  const { job, series } = await outcome(id);
  expect(job).toMatchObject({ status: "succeeded", result: undamaged.job.result });
  expect(series).toEqual(undamaged.series);
  const damaged = steps.slice(0, count);
  const from = [...steps.slice(1).map((step) => `the checkpoint of step ${step}`), "the beginning"];
  expect((await events(id)).filter(({ type }) => type === "checkpoint_damaged").map(({ message }) => message)).toEqual(
    damaged.map((step, i) => `The checkpoint of step ${step} is damaged: the job goes on from ${from[i]}.`),
  );
});

test("a bit that flips in Redis while a job runs, before its worker is killed, changes nothing", async () => {
  const { id } = await service.create(spec());
  await until(id, (job) => (job.progress.last_checkpoint_step ?? 0) >= 300);
  worker.kill("SIGSTOP");
  const [newest] = await stepsOf(id);
  await flipCheckpoint(id, newest);
  worker.kill("SIGKILL");
  await worker.exited;
  worker = await startWorker();
  const { job, series } = await outcome(id);
  expect(job).toMatchObject({ status: "succeeded", result: undamaged.job.result });
  expect(series).toEqual(undamaged.series);
  expect((await events(id)).map(({ type }) => type)).toContain("checkpoint_damaged");
});

test.each([
  ["goes on from its origin, if it keeps one checkpoint and that is damaged", 1, 400, checkpoints(1), true],
  ["goes on from its origin, if its first checkpoint is damaged", 3, null, pastOrigin, true],
  ["fails, if all of several checkpoints are damaged", 3, 400, checkpoints(2), false],
])("a fork %s", async (_, keepLast, everySteps, ready, goesOn) => {
  const overrides = {
    optimizer: { lr: 0.0001 },
    checkpoint: { ...checkpoint, keep_last: keepLast, every_steps: everySteps },
    training: { epochs: 2 * EPOCHS },
  };
  const body = { step: "final", overrides };
  const fork = async () => (await service.call("POST", `/v1/jobs/${undamaged.job.id}/fork`, { body })).body as Job;
  const id = await paused(fork, ready);
  const steps = await stepsOf(id);
  expect(steps.length).toBeGreaterThan(0);
  for (const step of steps) await flipCheckpoint(id, step);
  await service.call("POST", `/v1/jobs/${id}/resume`);
  const { job } = await outcome(id);
  if (!goesOn) {
    // To begin with other weights than its parent's would give another model.
    const error = { code: "checkpoint_unreadable", suggestion: "Fork this job's parent again." };
    return expect(job.error).toMatchObject(error);
  }
  const { result } = (await outcome((await fork()).id)).job;
  expect(job).toMatchObject({ status: "succeeded", result });
  const said = (await events(id)).filter(({ type }) => type === "checkpoint_damaged");
  expect(said.at(-1)!.message).toContain("goes on from what it was forked from");
});

test("a fork whose origin is damaged fails, and says what to do", async () => {
  const parent = undamaged.job;
  // So that the fork waits.
  const busy = await service.create(spec({ training: { epochs: 10_000, batch_size: 8 } }));
  await until(busy.id, (job) => job.status === "running");
  const body = { step: "final", overrides: { training: { epochs: EPOCHS + 10 } } };
  const { id } = (await service.call("POST", `/v1/jobs/${parent.id}/fork`, { body })).body as Job;
  await flip(chunkOf(id, "origin"));
  await service.call("POST", `/v1/jobs/${busy.id}/cancel`);
  const { error } = await until(id, ended);
  expect(error).toMatchObject({
    code: "checkpoint_unreadable",
    message: `The checkpoint of step ${LAST} cannot be read: its bytes are missing or damaged.`,
    suggestion: "Fork this job's parent again.",
  });
});

test("damaged models and checkpoints are neither served nor forked", async () => {
  const { id } = (await outcome((await service.create(spec())).id)).job;
  const paths = {
    final: `/v1/jobs/${id}/model`,
    best: `/v1/jobs/${id}/model?which=best`,
    state: `/v1/jobs/${id}/checkpoints/${LAST}`,
    optimizer: `/v1/jobs/${id}/checkpoints/${LAST}?format=torch_optimizer`,
    tensors: `/v1/jobs/${id}/checkpoints/${LAST}?format=torch_optimizer_tensors`,
  };
  for (const path of Object.values(paths)) expect((await service.call("GET", path)).status, path).toBe(200);
  const model = (which: string) => `{rappel}:owner:default:job:${id}:model:${which}`;
  await flip(chunkOf(id, (await redis.hget(model("final"), "blob"))!));
  await redis.del(chunkOf(id, (await redis.hget(model("best"), "blob"))!));
  await flipCheckpoint(id, LAST);
  for (const [what, path] of Object.entries(paths)) {
    const { status, body, headers } = await service.call("GET", path);
    const [kind, remedy] = ["final", "best"].includes(what)
      ? ["model", "Post the job again: it gives the same model."]
      : ["checkpoint", "Other checkpoints of the job may be whole."];
    expect([what, status, body.code, body.detail, headers.etag]).toEqual([
      what,
      500,
      "internal",
      `The stored ${kind} is damaged: bytes of it are missing, or are not those that were written. ${remedy}`,
      undefined,
    ]);
  }
  // Lost weights are told from those that the job never kept.
  await redis.del(model("best"));
  expect((await service.call("GET", paths.best)).status).toBe(500);

  const fork = await service.call("POST", `/v1/jobs/${id}/fork`, { body: { step: "final" } });
  expect([fork.status, fork.body.errors]).toEqual([
    422,
    [{ pointer: "/step", message: "means a checkpoint that is damaged; choose another step" }],
  ]);
});

test("a job whose dataset is damaged beyond repair by the time it runs ends as dataset_unavailable", async () => {
  const kept = await service.upload("x,y,label\n1,2,cat\n2,1,dog\n3,5,cat\n4,4,dog\n5,1,cat\n6,0,dog\n");
  const create = () => service.create(specFor(kept.id, { training: { epochs: 1, batch_size: "full" } }));
  worker.kill("SIGSTOP");
  const job = await create();
  rmSync(join(service.directory, csvFile(kept)));
  const columns = join(service.directory, columnsFile(kept));
  truncateSync(columns, statSync(columns).size - 10);
  worker.kill("SIGCONT");
  const { error } = await until(job.id, ended);
  expect(error).toMatchObject({
    code: "dataset_unavailable",
    message: "The file of columns is cut off. The CSV file to make it again from is missing.",
  });
});

test("a file that is deleted while it is read is reported as gone, not as damaged", async () => {
  const readers = Array.from({ length: 15 });
  const beside = async (read: () => Promise<{ status: number }>, path: string) => {
    const removed = service.call("DELETE", path);
    const statuses = (await Promise.all(readers.map(read))).map(({ status }) => status);
    expect((await removed).status).toBe(204);
    return statuses;
  };
  for (let round = 0; round < 4; round++) {
    const { id: table } = await service.upload(`x,label\n${round},a\n1,b\n2,a\n3,b\n`);
    const short = specFor(table, { training: { epochs: 1, batch_size: 2 } });
    const { job } = await outcome((await service.create(short)).id);
    const model = await beside(() => service.call("GET", `/v1/jobs/${job.id}/model`), `/v1/jobs/${job.id}`);
    expect(model.filter((status) => status !== 200 && status !== 404)).toEqual([]);
    const other = await service.upload(`x,label\n${round},c\n1,b\n`);
    const content = await beside(
      () => service.call("GET", `/v1/datasets/${other.id}/content`),
      `/v1/datasets/${other.id}`,
    );
    expect(content.filter((status) => status !== 200 && status !== 404)).toEqual([]);
    const validate = () => service.call("POST", "/v1/jobs?validate_only=true", { body: short });
    const valid = await beside(validate, `/v1/datasets/${table}`);
    expect(valid.filter((status) => status !== 200 && status !== 422)).toEqual([]);
  }
});
