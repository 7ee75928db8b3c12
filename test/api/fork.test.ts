// Forks of jobs that a real worker trains.
import type { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { Checkpoint } from "../../src/spec/wire/checkpoint.ts";
import type { Job } from "../../src/spec/wire/job.ts";
import { ended, startProcess, type WorkerProcess } from "../worker/support.ts";
import { specFor, startService, type Service } from "./service.ts";

let service: Service;
let redis: Redis;
let dataset: string;
let worker: WorkerProcess;

const startWorker = (env: Record<string, string> = {}) =>
  startProcess({ REDIS_URL: service.redis.url, DATA_DIR: service.directory, ...env });

beforeAll(async () => {
  service = await startService();
  redis = service.redis.client();
  await redis.config("SET", "maxmemory", MAX_BYTES);
  const rows = Array.from({ length: 300 }, (_, i) => `${Math.sin(i)},${(i * 7) % 11},${["cat", "dog", "emu"][i % 3]}`);
  dataset = (await service.upload(["x,y,label", ...rows].join("\n"))).id;
  worker = await startWorker();
});
afterAll(async () => {
  worker.kill("SIGKILL");
  await worker.exited;
  await service.stop();
});

/** The forks here keep many checkpoints, and each is promised room for all of them. */
const MAX_BYTES = 2 ** 30;

// They would fill the Redis of the tests.
afterEach(async () => {
  const { data } = (await service.call("GET", "/v1/jobs?limit=100")).body as { data: Job[] };
  for (const { id } of data) {
    await service.call("POST", `/v1/jobs/${id}/cancel`);
    await until(id, ended);
    await service.call("DELETE", `/v1/jobs/${id}`);
  }
});

/** A second or so. */
const layers = [
  { type: "linear", out_features: 256 },
  { type: "relu" },
  { type: "linear", out_features: 256 },
  { type: "relu" },
  { type: "linear" },
];
const training = { epochs: 50, batch_size: 8, seed: 5 };
/** Of 300 rows every fifth validates. */
const STEPS_PER_EPOCH = 30;
const spec = (changes: Record<string, unknown> = {}) =>
  specFor(dataset, {
    model: { layers },
    training,
    checkpoint: { every_steps: 100, every_seconds: null, keep_last: 100, keep_best: true },
    ...changes,
  });

const post = (id: string, body: unknown, headers: Record<string, string> = {}) =>
  service.call("POST", `/v1/jobs/${id}/fork`, { body, headers });

async function fork(id: string, body: unknown): Promise<Job> {
  const response = await post(id, body);
  expect(response.status, response.text).toBe(201);
  expect(response.headers.location).toBe(`/v1/jobs/${response.body.id}`);
  return response.body;
}

async function until(id: string, condition: (job: Job) => boolean): Promise<Job> {
  const get = async () => (await service.call("GET", `/v1/jobs/${id}`)).body as Job;
  await expect.poll(async () => condition(await get()), { timeout: 30_000, interval: 20 }).toBe(true);
  return await get();
}

const series = async (id: string) => (await service.call("GET", `/v1/jobs/${id}/metrics`)).body.series;

/** On a busy machine a job may be over before it can be paused. */
async function pausedInTheMiddle(changes: Record<string, unknown>): Promise<string> {
  for (;;) {
    const { id } = await service.create(spec(changes));
    await until(id, (job) => (job.progress.last_checkpoint_step ?? 0) >= 300);
    await service.call("POST", `/v1/jobs/${id}/pause`);
    const { status } = await until(id, (job) => job.status === "paused" || ended(job));
    if (status === "paused") return id;
  }
}

/** A job that has ended, and a paused twin that still has its checkpoints up to the middle. */
async function trained(
  changes: Record<string, unknown> = {},
): Promise<{ parent: Job; paused: string; steps: number[] }> {
  const paused = await pausedInTheMiddle(changes);
  const { id } = await service.create(spec(changes));
  const parent = await until(id, ended);
  expect(parent.status).toBe("succeeded");
  const { data } = (await service.call("GET", `/v1/jobs/${paused}/checkpoints`)).body as { data: Checkpoint[] };
  return { parent, paused, steps: data.map(({ step }) => step) };
}

test("an unchanged fork ends as its parent does, wherever it began, even if the parent is gone by then", async () => {
  const { parent, paused, steps } = await trained();
  expect(parent.parent).toBeNull();
  expect(steps.length).toBeGreaterThanOrEqual(3);
  const all = (await series(parent.id)).train_loss.steps as number[];
  // So that the forks wait.
  const busy = await service.create(spec({ training: { ...training, epochs: 400 } }));
  await until(busy.id, (job) => job.status === "running");
  const forks = await Promise.all(
    [...steps, "final"].map((step) => fork(step === "final" ? parent.id : paused, { step })),
  );
  for (const id of [paused, busy.id]) await service.call("POST", `/v1/jobs/${id}/cancel`);
  await until(busy.id, ended);
  for (const id of [paused, parent.id]) expect((await service.call("DELETE", `/v1/jobs/${id}`)).status).toBe(204);

  for (const [i, { id, spec, progress, parent: from }] of forks.entries()) {
    const step = steps[i] ?? parent.result!.steps;
    expect(spec).toEqual(parent.spec);
    expect(from).toEqual({ job_id: step === parent.result!.steps ? parent.id : paused, step });
    expect(progress).toMatchObject({ step, last_checkpoint_step: null, total_steps: parent.progress.total_steps });
    expect(progress.valid_loss).toEqual(expect.any(Number));
    expect(progress.valid_loss).toBe(progress.metrics.valid_loss);
    const job = await until(id, ended);
    expect(job).toMatchObject({ status: "succeeded", run: 1, parent: from, result: parent.result });
    const { steps: logged = [] } = (await series(id)).train_loss ?? {};
    expect(logged).toEqual(all.filter((at) => at > step));
    const [created] = (await service.call("GET", `/v1/jobs/${id}/events`)).body.data;
    expect(created.message).toBe(`Forked from step ${step} of ${from!.job_id}.`);
  }
  // The copy goes once the fork has two checkpoints of its own.
  const origins = await redis.keys("*:chunk:origin:*");
  expect(origins.length).toBeGreaterThan(0);
  for (const key of origins) expect(await redis.ttl(key)).toBeGreaterThan(0);
  const [last] = forks;
  await service.call("DELETE", `/v1/jobs/${last.id}`);
  expect(await redis.keys(`*${last.id}*`)).toEqual([]);
});

test("a fork that is given more epochs goes on from the end, as if it had had them from the beginning", async () => {
  const { id } = await service.create(spec());
  const parent = await until(id, ended);
  const longer = { ...training, epochs: 75 };
  const straight = await service.create(spec({ training: longer }));
  const forked = await fork(parent.id, { step: "final", overrides: { training: { epochs: 75 } } });
  const [a, b] = [await until(straight.id, ended), await until(forked.id, ended)];
  expect(b.result!.weights_sha256).toBe(a.result!.weights_sha256);
  expect(b.result!.best).toEqual(a.result!.best);
  expect(b.result!.weights_sha256).not.toBe(parent.result!.weights_sha256);
});

test("what follows from the number of steps follows from the fork's", async () => {
  const derived = { detectors: { diverging: { policy: "rewind" } } };
  const { id } = await service.create(spec(derived));
  await until(id, ended);
  const longer = await service.create(spec({ ...derived, training: { ...training, epochs: 4000 } }));
  const { spec: forked } = await fork(id, { step: "final", overrides: { training: { epochs: 4000 } } });
  expect(forked).toEqual(longer.spec);
  expect(forked.training.log_every_steps).toBe(120);
});

test("without the optimizer's state a fork begins at step 0 with the weights", async () => {
  const { id } = await service.create(spec());
  const parent = await until(id, ended);
  const best = (await service.call("GET", `/v1/jobs/${id}/model?which=best`)).headers.etag;
  const still = { optimizer: { type: "sgd", lr: 0 }, training: { epochs: 2 } };
  const fromFinal = await fork(id, { step: "final", optimizer: false, overrides: still });
  const fromBest = await fork(id, { step: "best", overrides: still });
  expect([fromFinal.parent!.step, fromBest.parent!.step]).toEqual([parent.result!.steps, parent.result!.best!.step]);
  for (const { progress } of [fromFinal, fromBest]) expect(progress.step).toBe(0);
  // At a rate of 0 they stay what they are.
  const final = await until(fromFinal.id, ended);
  expect(final.result).toMatchObject({ weights_sha256: parent.result!.weights_sha256, epochs: 2 });
  expect(`"${(await until(fromBest.id, ended)).result!.weights_sha256}"`).toBe(best);
});

test("a fork that is killed before its first checkpoint begins again where it began", async () => {
  const { parent, paused, steps } = await trained();
  worker.kill("SIGKILL");
  await worker.exited;
  const { id } = await fork(paused, { step: steps.at(-1) });
  const other = await fork(paused, { step: steps.at(-1), optimizer: false });
  worker = await startWorker({ RAPPEL_CRASH_AT: "before-commit" });
  expect(await worker.exited).toBe("SIGKILL");
  worker = await startWorker();
  expect(await until(id, ended)).toMatchObject({ status: "succeeded", run: 2, result: parent.result });
  expect((await until(other.id, ended)).status).toBe("succeeded");
});

test("what ended a job early ends its fork too, unless the fork knows no such rule", async () => {
  const rule = { ...training, epochs: 120, early_stopping: { patience: 2 } };
  const { id } = await service.create(spec({ training: rule, optimizer: { type: "adam", lr: 0.02 } }));
  const parent = await until(id, ended);
  expect(parent.result!.stop_reason).toBe("early_stopping");
  const same = await fork(id, { step: "final" });
  expect((await until(same.id, ended)).result).toEqual(parent.result);
  const free = await fork(id, { step: "final", overrides: { training: { early_stopping: null } } });
  const { result } = await until(free.id, ended);
  expect(result).toMatchObject({ stop_reason: "completed", epochs: 120 });
});

test("best weights can be kept from a fork on, and be given up", async () => {
  const { parent, paused, steps } = await trained({
    checkpoint: { every_steps: 100, every_seconds: null, keep_last: 100 },
  });
  const keeping = await fork(paused, { step: steps[0], overrides: { checkpoint: { keep_best: true } } });
  const kept = await until(keeping.id, ended);
  expect(kept.result!.weights_sha256).toBe(parent.result!.weights_sha256);
  expect((await service.call("GET", `/v1/jobs/${keeping.id}/model?which=best`)).status).toBe(200);
  // What was best before is not known any more: an evaluation that is no better is the fork's best.
  const still = { checkpoint: { keep_best: true }, optimizer: { lr: 0 } };
  const step = steps.find((each) => each % STEPS_PER_EPOCH === 0) ?? steps[0];
  const standing = await until((await fork(paused, { step, overrides: still })).id, ended);
  expect(standing.result!.best!.step).toBeGreaterThan(step);
  const dropping = await fork(keeping.id, { step: "final", overrides: { checkpoint: { keep_best: false } } });
  expect((await until(dropping.id, ended)).result!.weights_sha256).toBe(parent.result!.weights_sha256);
});

test("averages go on in a fork, end with it, or begin in it anew", async () => {
  const averaging = { type: "ema", decay: 0.99 };
  const { parent, paused, steps } = await trained({ training: { ...training, averaging } });
  const step = steps.at(-1)!;
  const of = async (averaging: unknown) => {
    const { id } = await fork(paused, { step, overrides: { training: { averaging } } });
    return (await until(id, ended)).result!.weights_sha256;
  };
  expect(await of({})).toBe(parent.result!.weights_sha256);
  const straight = await service.create(spec());
  expect(await of(null)).toBe((await until(straight.id, ended)).result!.weights_sha256);
  const later = { type: "swa", start_step: step };
  const other = await service.create(spec({ training: { ...training, averaging: later } }));
  expect(await of(later)).toBe((await until(other.id, ended)).result!.weights_sha256);

  const { status, body } = await post(paused, { step, overrides: { training: { averaging: { decay: 0.9 } } } });
  expect(status).toBe(422);
  expect(body.errors).toEqual([
    {
      pointer: "/overrides/training/averaging/start_step",
      message: `must be at least ${step}, the checkpoint's step: averages that it does not have begin anew`,
    },
  ]);
  expect(
    (await post(paused, { step, optimizer: false, overrides: { training: { averaging: { decay: 0.9 } } } })).status,
  ).toBe(201);
});

test("a fork is refused with all that is wrong, and pointers into its body", async () => {
  const { parent, paused, steps } = await trained();
  const faults = async (body: unknown, id = paused) => {
    const { status, body: problem } = await post(id, body);
    expect([status, problem.code]).toEqual([422, "invalid_spec"]);
    return Object.fromEntries(
      problem.errors.map((fault: { pointer: string; message: string }) => [fault.pointer, fault.message]),
    );
  };
  const step = steps[0];
  const narrow = { layers: [{ type: "linear", out_features: 32 }, ...layers.slice(1)] };
  const { body } = await post(paused, { step, overrides: { model: narrow } });
  expect(body.errors).toEqual([
    { pointer: "/overrides/model", message: "makes 0.bias 32, and in the checkpoint it is 256" },
    { pointer: "/overrides/model", message: "makes 0.weight 32 × 2, and in the checkpoint it is 256 × 2" },
    { pointer: "/overrides/model", message: "makes 2.weight 256 × 32, and in the checkpoint it is 256 × 256" },
  ]);
  const deeper = { layers: [...layers.slice(0, 4), layers[0], { type: "linear" }] };
  expect(Object.values(await faults({ step, optimizer: false, overrides: { model: deeper } })).join()).toMatch(
    /needs 5\./,
  );
  expect(await faults({ step, overrides: { data: { features: ["x"] } } })).toEqual({
    "/overrides/model/layers/0/in_features": expect.any(String),
  });
  expect(await faults({ step, overrides: { optimizer: { type: "sgd" } } })).toEqual({
    "/optimizer": expect.stringContaining("must be false: sgd keeps another state"),
  });
  expect(await faults({ step: 13, overrides: { training: { epochs: 0 }, optimizer: { type: "Adam" } } })).toEqual({
    "/step": expect.stringContaining("has no checkpoint"),
    "/overrides/training/epochs": expect.any(String),
    "/overrides/optimizer/type": expect.any(String),
  });
  expect(await faults({ step, overrides: { training: { epochs: 2 } } })).toEqual({
    "/overrides/training/epochs": `must leave steps to take: the checkpoint is at step ${step}, and these make 60`,
  });
  expect(await faults({ step, overrides: { training: { epochs: step, batch_size: "full" } } })).toEqual({
    "/overrides/training/epochs": `must leave steps to take: the checkpoint is at step ${step}, and these make ${step}`,
  });
  expect(await faults({ step: "best", optimizer: true })).toEqual({ "/optimizer": expect.any(String) });
  expect(await faults({ step: "first", overides: {} })).toEqual({
    "/step": expect.any(String),
    "/overides": expect.stringContaining('did you mean "overrides"'),
  });
  expect(await faults({})).toEqual({ "/step": expect.any(String) });
  expect(await faults({ step, overrides: [] })).toEqual({ "/overrides": expect.any(String) });
  expect(await faults({ step: 100 }, parent.id)).toEqual({ "/step": expect.stringContaining("has no checkpoint") });

  const queued = await service.create(spec({ checkpoint: {} }));
  expect(Object.keys(await faults({ step: "best" }, queued.id))).toEqual(["/step"]);
  // What it writes while it runs would be among the keys below.
  await service.call("POST", `/v1/jobs/${queued.id}/cancel`);
  await until(queued.id, ended);
  const early = await post(paused, { step: "final" });
  expect([early.status, early.body.code, early.body.current_status]).toEqual([409, "wrong_status", "paused"]);
  expect((await post("job_01k3w9d0c8v6m2q4r7t5x1y9za", { step: 1 })).status).toBe(404);
  const empty = await post(paused, undefined);
  expect([empty.status, empty.body.code]).toEqual([400, "malformed_json"]);
  const deep = `{"step":${step},"overrides":${'{"model":'.repeat(50_000)}1${"}".repeat(50_000)}}`;
  const json = { "content-type": "application/json" };
  expect((await service.call("POST", `/v1/jobs/${paused}/fork`, { body: deep, headers: json })).status).toBe(422);

  // A store that is full to the last kilobyte: refused before anything is copied, however often it
  // is tried.
  const usage = () => redis.hgetall("{rappel}:owner:default:usage");
  const [before, counted, { promised }] = [await redis.keys("*"), await usage(), await redis.hgetall("{rappel}:room")];
  const used = Number(/used_memory:(\d+)/.exec(await redis.info("memory"))![1]);
  await redis.config("SET", "maxmemory", Math.round((used + Number(promised)) / 0.7));
  for (let i = 0; i < 3; i++) {
    const full = await post(paused, { step });
    expect([full.status, full.body.code, full.headers["retry-after"]]).toEqual([503, "unavailable", "30"]);
    expect(full.body.detail).toMatch(/^The store is full: this may need \d+ bytes in the store, and \d+ are free\./);
  }
  await redis.config("SET", "maxmemory", MAX_BYTES);
  expect((await redis.keys("*")).filter((key) => !before.includes(key))).toEqual([]);
  expect(await usage()).toEqual(counted);
});

test("an idempotency key gives the first fork again, and belongs to its parent and body", async () => {
  const { id } = await service.create(spec());
  const { id: twin } = await service.create(spec());
  for (const job of [id, twin]) await until(job, ended);
  const headers = { "idempotency-key": "a fork" };
  const first = await post(id, { step: "final" }, headers);
  await service.call("DELETE", `/v1/jobs/${id}`);
  const again = await post(id, { step: "final" }, headers);
  expect([again.status, again.body.id, again.headers["idempotency-replayed"]]).toEqual([201, first.body.id, "true"]);
  for (const other of [await post(twin, { step: "final" }, headers), await post(id, { step: 1 }, headers)]) {
    expect([other.status, other.body.code]).toEqual([422, "idempotency_mismatch"]);
  }
});

const rewinding = {
  optimizer: { type: "sgd", lr: 0.003, momentum: 0.9 },
  schedule: { type: "multi_step", milestones: [150, 170, 190], gamma: 8 },
  detectors: {
    diverging: { policy: "rewind", rewind: { every_steps: 25, window: 50, lr_factor: 0.3, max: 6 } },
  },
};

test("a fork of a rewound job knows its changes, or makes the same again; with another rate it has none", async () => {
  const { parent, paused, steps } = await trained(rewinding);
  const { changes } = parent.result!;
  expect(changes.length).toBeGreaterThan(0);
  expect(changes[0].step).toBeGreaterThan(100);
  for (const step of [100, steps[0]]) {
    const { id } = await fork(paused, { step });
    expect((await until(id, ended)).result).toEqual(parent.result);
  }
  const { id } = await fork(paused, { step: steps[0], overrides: { optimizer: { lr: 1e-6 } } });
  expect((await until(id, ended)).result!.changes).toEqual([]);
});

test("an unchanged fork is rewound to before where it began, as its parent is", async () => {
  const late = {
    ...rewinding,
    schedule: { ...rewinding.schedule, milestones: [1000, 1020, 1040] },
    detectors: {
      diverging: { policy: "rewind", rewind: { ...rewinding.detectors.diverging.rewind, window: 2000, max: 9 } },
    },
  };
  const { id: straight } = await service.create(spec(late));
  const parent = await until(straight, ended);
  expect(parent.result!.changes[0].step).toBe(0);
  let paused: string;
  do paused = await pausedInTheMiddle(late);
  while ((await service.call("GET", `/v1/jobs/${paused}/diagnosis`)).body.changes.length > 0);
  const step = (await service.call("GET", `/v1/jobs/${paused}`)).body.progress.last_checkpoint_step;
  const { id } = await fork(paused, { step, overrides: { resources: { threads: 2 } } });
  const job = await until(id, ended);
  expect(job.result).toEqual(parent.result);
  expect(await series(id)).toEqual(await series(parent.id));
});

test("a fork is rewound no further than to where it began, and begins there again", async () => {
  const { paused, steps } = await trained();
  const overrides = {
    ...rewinding,
    optimizer: { lr: 3 },
    schedule: null,
    checkpoint: { every_steps: 1, keep_last: 1 },
  };
  const { id } = await fork(paused, { step: steps[0], overrides });
  await until(id, ended);
  const { changes } = (await service.call("GET", `/v1/jobs/${id}/diagnosis`)).body;
  expect(changes[0]).toMatchObject({ step: steps[0] });
  const { train_loss: loss } = await series(id);
  expect(loss.steps[0]).toBeGreaterThan(steps[0]);
});

test("nor is a fork of a fork, whose course did not begin with its parent", async () => {
  const { paused, steps } = await trained();
  const { id: child } = await fork(paused, { step: steps[0] });
  const { progress } = await until(child, ended);
  // As long as another job runs it waits, and still has what it is to begin with.
  const { id: other } = await service.create(spec({ training: { epochs: 100_000, batch_size: 1 } }));
  await until(other, ({ status }) => status === "running");
  const { id } = await fork(child, { step: "final" });
  const origin = await redis.hget(`{rappel}:owner:default:job:${id}`, "origin");
  expect(JSON.parse(origin!)).toMatchObject({ step: progress.step, first: progress.step });
});

test("a fork that goes on from what has learned already is not taken for one that learns nothing", async () => {
  const small = {
    data: {
      synthetic: { type: "two_moons", rows: 400, noise: 0.3, seed: 1 },
      target: "target",
      validation: { every: 5 },
    },
    model: { layers: [{ type: "linear", out_features: 8 }, { type: "relu" }, { type: "linear" }] },
    optimizer: { type: "adam", lr: 0.01 },
    training: { epochs: 60, batch_size: 32, seed: 1 },
  };
  const { id: parent } = await service.create(spec(small));
  await until(parent, ended);
  const stuck = async (body: object) => {
    const { id } = await fork(parent, body);
    expect((await until(id, ended)).status).toBe("succeeded");
    return (await service.call("GET", `/v1/jobs/${id}/diagnosis`)).body.detectors.plateau;
  };
  expect(await stuck({ step: "final", overrides: { training: { epochs: 80 } } })).toBe("quiet");
  const other = { overrides: { training: { epochs: 80 }, data: { synthetic: { seed: 2 } } } };
  expect(await stuck({ step: "final", ...other })).toBe("quiet");
  expect(await stuck({ step: "best", overrides: { training: { epochs: 20 } } })).toBe("quiet");
});

test("final weights are tested once, and a fork of another course is tested anew and warned of its own", async () => {
  const short = { ...training, epochs: 4 };
  const data = { dataset, target: "label", validation: { every: 5 }, test: { tail: 0.2 } };
  const { id } = await service.create(spec({ data, training: short }));
  const parent = await until(id, ended);
  const { metrics } = parent.result!;
  expect(metrics).toMatchObject({ valid_accuracy: expect.any(Number), test_accuracy: expect.any(Number) });
  expect(parent.warnings).toEqual([]);
  // The course of a job is not tested.
  expect(Object.keys(await series(id)).filter((name) => name.startsWith("test_"))).toEqual([]);
  expect((await until((await fork(id, { step: "final" })).id, ended)).result!.metrics).toEqual(metrics);

  // Nor is one of another course that an earlier version recorded, without options that are new.
  const { exclude, columns, ...older } = parent.spec.data;
  expect([exclude, columns]).toEqual([[], {}]);
  const record = `{rappel}:owner:default:job:${id}`;
  await redis.hset(record, "spec", JSON.stringify({ ...parent.spec, data: older }));
  const unchanged = await fork(id, { step: "final" });
  await redis.hset(record, "spec", JSON.stringify(parent.spec));
  expect((await until(unchanged.id, ended)).result!.metrics).toEqual(metrics);

  // Without a test of its own it has no metrics of one. Of 300 rows each third is an emu.
  const untrained = { data: { test: null, validation: { every: null, column: "emu" }, columns: { x: "numeric" } } };
  const marked = Array.from(
    { length: 300 },
    (_, i) => `${Math.sin(i)},${(i * 7) % 11},${["cat", "dog", "emu"][i % 3]},${Number(i % 3 === 2)}`,
  );
  const { id: other } = await service.upload(["x,y,label,emu", ...marked].join("\n"));
  const overrides = { ...untrained, data: { ...untrained.data, dataset: other }, training: { epochs: 6 } };
  const forked = await fork(id, { step: "final", overrides });
  const message = 'leaves the class "emu" of "label" without a row to train on';
  expect(forked.warnings).toEqual([{ pointer: "/data/validation", code: "untrained_class", message }]);
  const { result } = await until(forked.id, ended);
  expect(Object.keys(result!.metrics).filter((name) => name.startsWith("test_"))).toEqual([]);
  const again = await fork(id, {
    step: "final",
    overrides: { data: { test: { tail: 0.1 } }, training: { epochs: 6 } },
  });
  const retested = (await until(again.id, ended)).result!.metrics;
  expect(retested.test_loss).not.toBe(metrics.test_loss);
});
