// What a spec asks of a training and its checkpoints, of jobs that a real worker trains.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readSafetensors } from "../../src/engine/state/safetensors.ts";
import type { Batches } from "../../src/contract/wire/batches.ts";
import type { Event } from "../../src/contract/wire/event.ts";
import type { Job } from "../../src/contract/wire/job.ts";
import { ended, startProcess, type WorkerProcess } from "../worker/support.ts";
import { specFor, startService, type Service } from "./service.ts";

let service: Service;
let dataset: string;
let worker: WorkerProcess;

beforeAll(async () => {
  service = await startService();
  const rows = Array.from({ length: 60 }, (_, i) => `${Math.sin(i)},${(i * 7) % 11},${["cat", "dog", "emu"][i % 3]}`);
  dataset = (await service.upload(["x,y,label", ...rows].join("\n"))).id;
  worker = await startProcess({ REDIS_URL: service.redis.url, DATA_DIR: service.directory });
});
afterAll(async () => {
  worker.kill("SIGKILL");
  await worker.exited;
  await service.stop();
});

async function trained(spec: object): Promise<Job> {
  return await until((await service.create(spec)).id);
}

async function until(id: string): Promise<Job> {
  for (;;) {
    const job = (await service.call("GET", `/v1/jobs/${id}`)).body as Job;
    if (ended(job)) return job;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function events(id: string): Promise<Event[]> {
  return ((await service.call("GET", `/v1/jobs/${id}/events?limit=100`)).body as { data: Event[] }).data;
}

test("an undefined metric makes one event for each setting that needs it", async () => {
  // A single row validates, which is not known of a table that is not made yet.
  const data = { synthetic: { type: "two_moons", rows: 40 }, target: "target", validation: { every: 40 } };
  const stopping = { metric: "valid_auc", patience: 3 };
  const job = await trained(
    specFor(dataset, {
      data,
      training: { epochs: 9, batch_size: 8, early_stopping: stopping },
      schedule: { type: "reduce_on_plateau", metric: "valid_auc" },
    }),
  );
  expect(job).toMatchObject({ status: "succeeded", result: { stop_reason: "early_stopping", epochs: 3, best: null } });
  expect(job.result!.metrics).toMatchObject({ valid_auc: null, valid_accuracy: expect.any(Number) });
  const reported = (await events(job.id)).filter(({ type }) => type === "metric_undefined");
  expect(reported.map(({ step, message, data: about }) => [step, message.split(" ").slice(3, 5), about])).toEqual([
    [5, ["valid_auc", "is"], { metric: "valid_auc", epoch: 1 }],
    [5, ["valid_auc", "is"], { metric: "valid_auc", epoch: 1 }],
  ]);
  expect(reported.map(({ message }) => /For (.*) that/.exec(message)![1])).toEqual(["early stopping", "the schedule"]);
});

interface Kept {
  readonly step: number;
  readonly kinds: readonly string[];
}

async function checkpoints(id: string): Promise<[number, string[]][]> {
  const { data } = (await service.call("GET", `/v1/jobs/${id}/checkpoints`)).body as { data: Kept[] };
  return data.map(({ step, kinds }) => [step, [...kinds]]);
}

async function forked(id: string, body: object): Promise<Job> {
  const fork = await service.call("POST", `/v1/jobs/${id}/fork`, { body });
  expect(fork.status, JSON.stringify(fork.body)).toBe(201);
  return await until((fork.body as Job).id);
}

describe("checkpoints", () => {
  // Six steps an epoch.
  const spec = (checkpoint: object) =>
    specFor(dataset, {
      training: { epochs: 5, batch_size: 8, seed: 3 },
      checkpoint: { every_steps: 7, every_seconds: null, ...checkpoint },
    });

  test("are one at the end, or the last ones that were kept, and a fork of each ends the same", async () => {
    expect(await checkpoints((await trained(spec({}))).id)).toEqual([[30, ["final"]]]);
    const job = await trained(spec({ keep_after_end: true, keep_last: 2 }));
    const [last, before, ...others] = await checkpoints(job.id);
    expect([last, before[1], others]).toEqual([[30, ["final"]], ["periodic"], []]);
    expect((await forked(job.id, { step: before[0] })).result!.weights_sha256).toBe(job.result!.weights_sha256);
  });

  test("begin at the start if asked for, and that one is kept as long as the job", async () => {
    const job = await trained(spec({ at_start: true, keep_last: 1 }));
    expect(await checkpoints(job.id)).toEqual([
      [30, ["final"]],
      [0, ["start"]],
    ]);
    const file = await service.call("GET", `/v1/jobs/${job.id}/checkpoints/0`);
    expect(file.status).toBe(200);
    const fork = await forked(job.id, { step: 0 });
    expect(fork.result!.weights_sha256).toBe(job.result!.weights_sha256);
    // It begins where it was forked.
    const later = await forked(job.id, { step: 30, overrides: { training: { epochs: 7 } } });
    expect((await checkpoints(later.id)).map(([step]) => step)).toEqual([42, 30]);
    const { events_omitted: omitted } = Object.groupBy(await events(job.id), ({ type }) => type);
    expect(omitted).toBeUndefined();
  });
});

describe("the batches of an epoch", () => {
  const batches = async (id: string, query = "") =>
    (await service.call("GET", `/v1/jobs/${id}/batches${query}`)).body as Batches;

  /** Weight and bias of a layer with one input and one output. */
  async function line(id: string, step: number): Promise<[number, number]> {
    const { body } = await service.call("GET", `/v1/jobs/${id}/checkpoints/${step}`);
    const { tensors } = readSafetensors(new Uint8Array(body as Buffer));
    const [weight, bias] = ["0.weight", "0.bias"].map((name) => tensors.get(name)!.bytes.slice().buffer);
    return [new Float32Array(weight)[0], new Float32Array(bias)[0]];
  }

  const lineSpec = (changes: object) =>
    specFor(dataset, {
      data: {
        dataset,
        target: "y",
        features: ["x"],
        validation: { every: 5 },
        preprocess: { numeric: "none", target: "none" },
      },
      model: { layers: [{ type: "linear" }] },
      loss: { type: "mse" },
      checkpoint: { at_start: true },
      ...changes,
    });

  /** Of the mean squared error of some rows. */
  function slopes(rows: readonly number[], weight: number, bias: number): [number, number] {
    const errors = rows.map((row) => weight * Math.sin(row) + bias - ((row * 7) % 11));
    const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
    return [2 * mean(errors.map((error, i) => error * Math.sin(rows[i]))), 2 * mean(errors)];
  }

  test("are those that the job trains on: training on them by hand gives its weights", async () => {
    const training = { epochs: 3, batch_size: 5, seed: 11, gradient_accumulation_steps: 3, drop_last: true };
    const job = await trained(lineSpec({ optimizer: { type: "sgd", lr: 0.05 }, training }));
    // Of 48 rows nine batches of five; three make a step.
    const steps = new Map<number, number[]>();
    for (const epoch of [0, 1, 2]) {
      const page = await batches(job.id, `?epoch=${epoch}`);
      expect(page).toMatchObject({ job_id: job.id, epoch, total: 9, has_more: false, next: null });
      for (const { step, rows } of page.data) steps.set(step, [...(steps.get(step) ?? []), ...rows]);
    }
    expect([...steps.keys()]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    let [weight, bias] = await line(job.id, 0);
    for (const rows of steps.values()) {
      const [ofWeight, ofBias] = slopes(rows, weight, bias);
      weight -= 0.05 * ofWeight;
      bias -= 0.05 * ofBias;
    }
    const [ours, own] = await line(job.id, 9);
    expect([weight, bias]).toEqual([expect.closeTo(ours, 5), expect.closeTo(own, 5)]);
    expect(bias).toBeGreaterThan(1);
  });

  test("show that a parameter which a fork lets learn again begins with a fresh state", async () => {
    const optimizer = { type: "sgd", lr: 0.02, momentum: 0.9 };
    const parameter_groups = [{ parameters: "0.weight", freeze: true }];
    const training = { epochs: 2, batch_size: 8, seed: 4 };
    const parent = await trained(lineSpec({ optimizer, parameter_groups, training }));
    const fork = await forked(parent.id, {
      step: "final",
      overrides: { parameter_groups: [], training: { epochs: 4 } },
    });
    let [weight, bias] = await line(parent.id, 0);
    const drawn = weight;
    let [ofWeight, ofBias] = [0, 0];
    for (const epoch of [0, 1, 2, 3]) {
      for (const { rows } of (await batches(fork.id, `?epoch=${epoch}`)).data) {
        const [first, second] = slopes(rows, weight, bias);
        ofBias = 0.9 * ofBias + second;
        bias -= 0.02 * ofBias;
        if (epoch < 2) continue;
        ofWeight = 0.9 * ofWeight + first;
        weight -= 0.02 * ofWeight;
      }
    }
    const [frozen] = await line(parent.id, parent.result!.steps);
    expect(frozen).toBe(drawn);
    const [ours, own] = await line(fork.id, fork.result!.steps);
    expect([weight, bias]).toEqual([expect.closeTo(ours, 4), expect.closeTo(own, 4)]);
    expect(Math.abs(weight - drawn)).toBeGreaterThan(0.01);
  });

  test("are known before the job runs, in pages, with each training row once", async () => {
    const id = (await service.create(specFor(dataset, { training: { epochs: 2, batch_size: 7, seed: 1 } }))).id;
    const whole = await batches(id, "?epoch=1");
    expect(whole.data.map(({ batch, step, rows }) => [batch, step, rows.length])).toEqual(
      [7, 7, 7, 7, 7, 7, 6].map((rows, batch) => [batch, 8 + batch, rows]),
    );
    const rows = whole.data.flatMap((batch) => batch.rows);
    expect(rows.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 60 }, (_, i) => i).filter((i) => i % 5 !== 0));
    expect((await batches(id)).data.flatMap((batch) => batch.rows)).not.toEqual(rows);
    const first = await batches(id, "?epoch=1&limit=4");
    expect(first).toMatchObject({ has_more: true, next: "3" });
    const second = await batches(id, `?epoch=1&limit=4&after=${first.next}`);
    expect([...first.data, ...second.data]).toEqual(whole.data);
    expect(await until(id)).toMatchObject({ status: "succeeded" });
    expect(await batches(id, "?epoch=1")).toEqual(whole);
  });

  test("do not exist beyond the last epoch, and are gone with the dataset", async () => {
    const other = (await service.upload("x,label\n1,a\n2,b\n3,a\n4,b\n5,a\n6,b")).id;
    const { id } = await trained(specFor(other, { training: { epochs: 2, batch_size: "full", shuffle: false } }));
    expect((await batches(id)).data).toEqual([{ batch: 0, step: 1, rows: [1, 2, 3, 4] }]);
    const beyond = await service.call("GET", `/v1/jobs/${id}/batches?epoch=2`);
    expect([beyond.status, beyond.body.detail]).toEqual([404, "The job has no epoch 2; its last is 1."]);
    await service.call("DELETE", `/v1/datasets/${other}`);
    const gone = await service.call("GET", `/v1/jobs/${id}/batches`);
    expect([gone.status, gone.body.code]).toEqual([404, "not_found"]);
  });
});
