// Kill workers while they train a set of models: its files have the same bytes.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { Job } from "../../src/contract/wire/job.ts";
import { OWNER } from "../store/support.ts";
import { csv, openPlace, sha256, type Place, type WorkerProcess } from "./support.ts";

let place: Place;
let dataset: string;
let undisturbed: string[];

/** 3 keys, 4 folds and 60 seeds. */
const MODELS = 720;
const set = {
  data: { target: "x9", partition_by: "y", validation: { folds: 4, seed: 1 } },
  loss: { type: "mse" },
  training: { epochs: 24, batch_size: 16, seed: 2, seeds: 60 },
};

beforeAll(async () => {
  place = await openPlace();
  // The same bytes would be the same dataset.
  dataset = await place.upload(Readable.from([csv().replace("x0", "first")]));
  await place.startWorker({ JOBS: "1" });
  undisturbed = await files(await trained(await post()));
  await place.killWorkers();
  expect(undisturbed.length).toBeGreaterThan(3);
});
afterEach(() => place.killWorkers());
afterAll(() => place.close());

async function post(): Promise<string> {
  return await place.post({ ...set, data: { ...set.data, dataset } });
}

async function trained(id: string): Promise<string> {
  await place.until(id, ({ models }) => models!.ended === MODELS);
  return id;
}

/** The hashes of the files of the shards. */
async function files(id: string): Promise<string[]> {
  const { shardModels } = (await place.store.sets.find(OWNER, id))!;
  const numbers = Array.from({ length: Math.ceil(MODELS / shardModels) }, (_, number) => number);
  return numbers.map((number) => sha256(readFileSync(join(place.directory, `${id}.${number}.result`))));
}

const someEnded = ({ models }: Job) => models!.ended > 0;

test.each(["after-keep-result", "before-final-commit", "after-final-commit"])(
  "a worker that dies at %s loses nothing that has ended",
  async (point) => {
    const dying = await place.startWorker({ RAPPEL_CRASH_AT: `${point}:2`, JOBS: "2" });
    const id = await post();
    await dying.exited;
    await place.startWorker({ JOBS: "1" });
    expect(await files(await trained(id))).toEqual(undisturbed);
  },
);

test("three workers share a set, and one after the other is killed", async () => {
  const start = () => place.startWorker({ JOBS: "1" });
  const workers: WorkerProcess[] = await Promise.all([start(), start(), start()]);
  const id = await post();
  for (let kill = 0; kill < 3; kill++) {
    const before = (await place.until(id, someEnded)).models!.ended;
    workers.shift()!.kill("SIGKILL");
    workers.push(await start());
    await place.until(id, ({ models }) => models!.ended > before || models!.ended === MODELS);
  }
  expect(await files(await trained(id))).toEqual(undisturbed);
  const { status, run, error } = (await place.store.jobs.get(OWNER, id))!;
  expect({ status, run, error }).toEqual({ status: "running", run: 1, error: null });
});

test("a worker that is told to end gives its shards back", async () => {
  const first = await place.startWorker({ JOBS: "2" });
  const id = await post();
  await place.until(id, someEnded);
  first.kill("SIGTERM");
  expect(await first.exited).toBe(0);
  await place.startWorker({ JOBS: "2" });
  expect(await files(await trained(id))).toEqual(undisturbed);
});
