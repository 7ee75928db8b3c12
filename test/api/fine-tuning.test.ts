// The example of fine-tuning through the API, with a real worker that is killed on the way.
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Job } from "../../src/contract/wire/job.ts";
import { readSafetensors } from "../../src/engine/state/safetensors.ts";
import { ended, startProcess, type WorkerProcess } from "../worker/support.ts";
import { startService, type Service } from "./service.ts";

let service: Service;
let worker: WorkerProcess;
let parent: Job;
let faint: string;

const example = (name: string) => JSON.parse(readFileSync(`examples/${name}.json`, "utf8"));
const startWorker = () => startProcess({ REDIS_URL: service.redis.url, DATA_DIR: service.directory });

async function upload(file: string): Promise<string> {
  const headers = { "content-type": "application/octet-stream" };
  const body = readFileSync(`examples/${file}`);
  return (await service.call("POST", "/v1/datasets", { body, headers })).body.id;
}

async function until(id: string, condition: (job: Job) => boolean): Promise<Job> {
  for (;;) {
    const job = (await service.call("GET", `/v1/jobs/${id}`)).body as Job;
    if (condition(job)) return job;
    await sleep(20);
  }
}

async function trained(spec: object): Promise<Job> {
  const job = await until((await service.create(spec)).id, ended);
  expect([job.status, job.error]).toEqual(["succeeded", null]);
  return job;
}

function fineTuned(changes: object = {}) {
  const spec = example("digits-fine-tuned");
  return { ...spec, data: { ...spec.data, dataset: faint }, init: { job: parent.id }, ...changes };
}

const tensorsOf = async ({ id }: Job) =>
  readSafetensors((await service.call("GET", `/v1/jobs/${id}/model`)).body as Uint8Array).tensors;
const encodersOf = async ({ id }: Job) =>
  (await service.call("GET", `/v1/jobs/${id}/model/description`)).body.inputs as object[];

beforeAll(async () => {
  service = await startService();
  worker = await startWorker();
  faint = await upload("digits-faint.npz");
  const spec = example("digits-cnn");
  parent = await trained({ ...spec, data: { ...spec.data, dataset: await upload("digits.npz") } });
});
afterAll(async () => {
  worker.kill("SIGKILL");
  await worker.exited;
  await service.stop();
});

test("a net that begins with another's weights knows more than one that has sixty images alone", async () => {
  const tuned = await trained(fineTuned());
  const { init: _, parameter_groups: __, ...rest } = fineTuned();
  const alone = await trained({ ...rest, data: { ...rest.data, features: ["images"], shape: [1, 8, 8] } });
  const [more, less] = [tuned, alone].map(({ result }) => result!.metrics.valid_accuracy!);
  expect(more - less).toBeGreaterThan(0.05);
  // The first layer is the other job's, and images are divided by its largest number.
  const [before, after] = [await tensorsOf(parent), await tensorsOf(tuned)];
  for (const name of ["0.weight", "0.bias"]) expect(after.get(name)!.bytes).toEqual(before.get(name)!.bytes);
  expect(after.get("3.weight")!.bytes).not.toEqual(before.get("3.weight")!.bytes);
  expect(await encodersOf(tuned)).toEqual(await encodersOf(parent));
  expect(await encodersOf(alone)).not.toEqual(await encodersOf(parent));
});

test("it has the same bytes on any number of threads, and if its worker is killed", async () => {
  const training = { epochs: 400, batch_size: 16, seed: 7 };
  const spec = (threads: number, checkpoint = {}) => fineTuned({ training, resources: { threads }, checkpoint });
  const killed = await service.create(spec(1, { every_steps: 50 }));
  await until(killed.id, ({ progress }) => progress.last_checkpoint_step !== null);
  worker.kill("SIGKILL");
  await worker.exited;
  worker = await startWorker();
  const { status, run, result } = await until(killed.id, ended);
  expect([status, run]).toEqual(["succeeded", 2]);
  for (const threads of [2, 5]) {
    const other = await trained(spec(threads));
    expect([threads, other.result!.weights_sha256]).toEqual([threads, result!.weights_sha256]);
  }
});
