// The files of the results of sets: damaged, in the way, left behind.
import { randomUUID } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { sweepResults } from "../../src/api/results.ts";
import type { Job } from "../../src/contract/wire/job.ts";
import type { SetEnds } from "../../src/set-ends.ts";
import { ended, startProcess, type WorkerProcess } from "../worker/support.ts";
import { csv, openSetEnds, specFor, startService, type Service } from "./service.ts";

let service: Service;
let worker: WorkerProcess;
let dataset: string;
let setEnds: SetEnds;

beforeAll(async () => {
  service = await startService();
  setEnds = openSetEnds(service);
  worker = await startProcess({ REDIS_URL: service.redis.url, DATA_DIR: service.directory });
  dataset = (await service.upload(csv)).id;
});

afterAll(async () => {
  worker.kill("SIGKILL");
  await worker.exited;
  await setEnds.close();
  await service.stop();
});

/** A set of three models. */
const spec = () =>
  specFor(dataset, {
    data: { dataset, target: "label", features: ["x", "y"], partition_by: "colour" },
    training: { epochs: 1, batch_size: 4 },
  });

async function read<T>(path: string): Promise<T> {
  const { status, body, text } = await service.call("GET", path);
  if (status !== 200) throw new Error(text);
  return body as T;
}

async function until(id: string, done: (job: Job) => boolean): Promise<Job> {
  for (;;) {
    const job = await read<Job>(`/v1/jobs/${id}`);
    if (done(job)) return job;
  }
}

test("a file of a shard that is damaged before the end is made again, later it is told", async () => {
  await setEnds.close();
  const { id } = await service.create(spec());
  await until(id, (job) => job.models!.ended === job.models!.total);
  const path = join(service.directory, `${id}.0.result`);
  const bytes = readFileSync(path);
  writeFileSync(
    path,
    bytes.map((byte, at) => (at === 100 ? byte ^ 1 : byte)),
  );
  setEnds = openSetEnds(service);
  expect(await until(id, ended)).toMatchObject({ status: "succeeded", models: { ended: 3, succeeded: 3 } });
  await setEnds.close();
  expect(readFileSync(path)).toEqual(bytes);
  rmSync(path);
  const lost = await service.call("GET", `/v1/jobs/${id}/models/0`);
  expect([lost.status, lost.body.detail]).toEqual([503, expect.stringContaining("missing")]);
  expect((await service.call("DELETE", `/v1/jobs/${id}`)).status).toBe(204);
  expect(readdirSync(service.directory).filter((name) => name.startsWith(id))).toEqual([]);
});

test("a set that cannot be ended keeps no other from its end", async () => {
  await setEnds.close();
  const post = async () => (await service.create(spec())).id;
  const [first, second] = [await post(), await post()];
  for (const id of [first, second]) await until(id, (job) => job.models!.ended === job.models!.total);
  // A directory of this name is in the way of the file.
  const way = join(service.directory, `${first}.index.result`);
  mkdirSync(way);
  setEnds = openSetEnds(service);
  expect((await until(second, ended)).status).toBe("succeeded");
  expect((await read<Job>(`/v1/jobs/${first}`)).status).toBe("running");
  rmSync(way, { recursive: true });
  expect((await until(first, ended)).status).toBe("succeeded");
});

test("a set that is cancelled while its result is made leaves no files", async () => {
  await setEnds.close();
  const { id } = await service.create(spec());
  await until(id, (job) => job.models!.ended === job.models!.total);
  const files = () => readdirSync(service.directory).filter((name) => name.startsWith(id));
  // The file of the index is there when the set is cancelled, and another process has removed the
  // files before.
  const sets = new Proxy(service.store.sets, {
    get(of, name) {
      if (name !== "conclude") return (Reflect.get(of, name) as Function).bind(of) as unknown;
      return async (...args: Parameters<typeof of.conclude>) => {
        expect(files()).toContain(`${id}.index.result`);
        await service.call("POST", `/v1/jobs/${id}/cancel`);
        await of.cleared({ owner: "default", id });
        return await of.conclude(...args);
      };
    },
  });
  setEnds = openSetEnds({ ...service, store: { sets } as Service["store"] });
  await expect.poll(files, { timeout: 10_000 }).toEqual([]);
  expect((await read<Job>(`/v1/jobs/${id}`)).status).toBe("cancelled");
});

test("a set that is cancelled or fails leaves no files", async () => {
  await setEnds.close();
  const { id } = await service.create(spec());
  await until(id, (job) => job.models!.ended === job.models!.total);
  const files = () => readdirSync(service.directory).filter((name) => name.startsWith(id));
  expect(files()).not.toEqual([]);
  await service.call("POST", `/v1/jobs/${id}/cancel`);
  setEnds = openSetEnds(service);
  await expect.poll(files, { timeout: 10_000 }).toEqual([]);
  expect(await service.store.sets.discarded(10)).toEqual([]);
});

test("what dead processes were writing goes once it is old, while the service runs", async () => {
  const parts = ["0", "1"].map((n) => `job_${"0".repeat(26)}.${n}.${randomUUID()}.part`);
  for (const part of parts) writeFileSync(join(service.directory, part), "");
  const then = new Date(Date.now() - 3_700_000);
  utimesSync(join(service.directory, parts[1]), then, then);
  await sweepResults(service);
  expect(parts.filter((part) => service.onDisk().includes(part))).toEqual([parts[0]]);
  rmSync(join(service.directory, parts[0]));
});
