import { createHash } from "node:crypto";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Redis } from "ioredis";
import { columnsFile, csvFile, filesOf } from "../../src/data/dataset.ts";
import { Store } from "../../src/store/store.ts";
import { makeDataDirectory, startTestRedis, type TestRedis } from "../support/redis.ts";
import { startService, type ServiceProcess } from "../support/service.ts";

/**
 * Workers on other hosts: each has a data directory of its own, and nothing in common with the api
 * but Redis and HTTP.
 */

const authorization = "Bearer s3cret";
const digits = readFileSync(new URL("../../examples/digits.csv", import.meta.url));

let redis: TestRedis;
let api: ServiceProcess;
let address: string;
let dataset: Body;
const directories: string[] = [];
const services: ServiceProcess[] = [];

beforeAll(async () => {
  redis = await startTestRedis();
  api = await start("api", { RAPPEL_API_KEYS: "ann:s3cret", RAPPEL_LOG_LEVEL: "debug" });
  address = (await api.ready).address!;
  dataset = await upload(digits);
});
afterAll(async () => {
  await Promise.all(services.map((service) => service.stop()));
  await redis.stop();
  for (const directory of directories) rmSync(directory, { recursive: true });
});

async function start(role: string, env: NodeJS.ProcessEnv): Promise<ServiceProcess> {
  const directory = makeDataDirectory();
  directories.push(directory);
  const settings = { REDIS_URL: redis.url, RAPPEL_DATA_DIR: directory, RAPPEL_LEASE_MS: "1000", ...env };
  const service = await startService({ env: settings, args: ["--role", role] });
  services.push(service);
  await service.ready;
  return service;
}

/** What the tests look at in an answer, whichever it is. */
interface Body {
  id: string;
  sha256: string;
  columns_sha256: string;
  status: string;
  error: { code: string; message: string } | null;
  result: { weights_sha256: string } | null;
  data: { type: string; message: string }[];
  queue: { waiting: number; active: number; delayed: number };
}

interface Call {
  method?: string;
  headers?: Record<string, string>;
  body?: Buffer | string;
}

async function call(path: string, { headers, ...init }: Call = {}): Promise<{ status: number; body: Body }> {
  const response = await fetch(address + path, { ...init, headers: { authorization, ...headers } });
  return { status: response.status, body: (await response.json()) as Body };
}

async function upload(body: Buffer | string): Promise<Body> {
  return (await call("/v1/datasets", { method: "POST", headers: { "content-type": "text/csv" }, body })).body;
}

async function post(id: string | string[], changes = {}): Promise<string> {
  const spec = {
    data: { dataset: id, target: "target", ...changes },
    model: { layers: [{ type: "linear" }] },
    loss: { type: "cross_entropy" },
    optimizer: { type: "adam" },
    training: { epochs: 2, batch_size: "full" },
  };
  const headers = { "content-type": "application/json" };
  const { status, body } = await call("/v1/jobs", { method: "POST", headers, body: JSON.stringify(spec) });
  expect([status, body]).toEqual([201, body]);
  return `/v1/jobs/${body.id}`;
}

async function untilEnded(job: string): Promise<Body> {
  for (;;) {
    const { body } = await call(job);
    if (!["queued", "running"].includes(body.status)) return body;
    await sleep(20);
  }
}

test("a worker that lacks a dataset gets it from the api, once, with API keys on", async () => {
  const worker = await start("worker", { RAPPEL_API_URL: address, RAPPEL_JOBS: "2" });
  const jobs = [await post(dataset.id), await post(dataset.id), await post(dataset.id)];
  for (const job of jobs) expect((await untilEnded(job)).status).toBe("succeeded");
  expect(api.log.filter(({ url }) => String(url).startsWith("/internal"))).toHaveLength(1);
  expect(readdirSync(join(directories.at(-1)!, "cache"))).toEqual([columnsFile(dataset)]);
  await worker.stop();
});

test("a worker gets every dataset of a list, and fetches again the one that is damaged in its cache", async () => {
  const rows = digits.toString().trimEnd().split("\n").length - 1;
  const beside = await upload(["extra", ...Array.from({ length: rows }, (_, i) => i % 5)].join("\n"));
  const worker = await start("worker", { RAPPEL_API_URL: address });
  const weights = async () => (await untilEnded(await post([dataset.id, beside.id]))).result?.weights_sha256;
  const before = await weights();
  const path = join(directories.at(-1)!, "cache", columnsFile(dataset));
  const sound = readFileSync(path);
  expect(readdirSync(join(directories.at(-1)!, "cache")).sort()).toEqual([dataset, beside].map(columnsFile).sort());
  await worker.stop();
  writeFileSync(path, sound.subarray(0, -8));
  const next = await start("worker", { RAPPEL_API_URL: address, RAPPEL_DATA_DIR: directories.at(-1)! });
  expect(before).toMatch(/^[0-9a-f]{64}$/);
  expect(await weights()).toBe(before);
  await next.stop();
});

test("a worker sends the CSV of a prediction to the api", async () => {
  const worker = await start("worker", { RAPPEL_API_URL: address });
  const job = await post(dataset.id);
  expect((await untilEnded(job)).status).toBe("succeeded");
  const headers = { "content-type": "application/json" };
  const asked = { method: "POST", headers, body: JSON.stringify({ dataset: dataset.id }) };
  const { id } = (await call(`${job}/predictions`, asked)).body;
  expect(await untilEnded(`${job}/predictions/${id}`)).toMatchObject({ status: "succeeded", error: null });
  const result = await fetch(`${address}${job}/predictions/${id}/result`, { headers: { authorization } });
  const sha256 = createHash("sha256").update(Buffer.from(await result.arrayBuffer()));
  expect([result.status, result.headers.get("etag")]).toEqual([200, `"${sha256.digest("hex")}"`]);
  const files = (directory: string) => readdirSync(join(directory, "datasets")).filter((name) => name.includes(id));
  expect([files(directories.at(-1)!), files(directories[0])]).toEqual([[], [`${id}.result`]]);
  // Nobody else may send one, whatever key they have.
  const url = `${address}/internal/results/${id}?sha256=${"0".repeat(64)}`;
  const sent = await fetch(url, {
    method: "PUT",
    headers: { authorization, "content-type": "application/octet-stream" },
    body: "x",
  });
  expect(sent.status).toBe(401);
  await worker.stop();
});

test("a worker fetches the models of a set to predict with", async () => {
  const worker = await start("worker", { RAPPEL_API_URL: address });
  const job = await post(dataset.id, { validation: { folds: 3 } });
  expect((await untilEnded(job)).status).toBe("succeeded");
  const headers = { "content-type": "application/json" };
  const asked = { method: "POST", headers, body: JSON.stringify({ split: "out_of_fold" }) };
  const { id } = (await call(`${job}/predictions`, asked)).body;
  expect(await untilEnded(`${job}/predictions/${id}`)).toMatchObject({ status: "succeeded", error: null });
  const result = await fetch(`${address}${job}/predictions/${id}/result`, { headers: { authorization } });
  expect((await result.text()).split("\n").length).toBe(digits.toString().trimEnd().split("\n").length + 1);
  // What it fetched is gone.
  const set = job.split("/").at(-1)!;
  const files = (directory: string) => readdirSync(join(directory, "datasets")).filter((name) => name.includes(set));
  await expect.poll(() => files(directories.at(-1)!)).toEqual([]);
  expect(files(directories[0]).toSorted()).toEqual([`${set}.0.result`, `${set}.index.result`]);
  const fetched = await fetch(`${address}/internal/results/${set}.0`, { headers: { authorization } });
  expect(fetched.status).toBe(401);
  await worker.stop();
});

test("a ticket gives access to the file of its dataset, and to nothing else", async () => {
  const connection = new Redis(redis.url);
  const { tickets } = new Store(connection);
  const ticket = await tickets.issue("ann", dataset.id);
  const other = await tickets.issue("ann", (await upload("x,target\n1,a\n2,b\n")).id);
  const foreign = await tickets.issue("bob", dataset.id);
  connection.disconnect();
  const get = (sha256: string, headers: Record<string, string>) =>
    fetch(`${address}/internal/datasets/${sha256}`, { headers });
  const hash = dataset.columns_sha256;
  const others = [other, foreign, `${ticket}x`].map((each) => `Bearer ${each}`);
  for (const value of [undefined, authorization, "Bearer", ...others]) {
    const response = await get(hash, value === undefined ? {} : { authorization: value });
    expect([value, response.status]).toEqual([value, 401]);
  }
  for (const wrong of ["0".repeat(64), dataset.sha256])
    expect((await get(wrong, { authorization: `Bearer ${ticket}` })).status).toBe(401);
  expect((await get("..%2fx", { authorization: `Bearer ${other}` })).status).toBe(404);
  // A ticket opens no other door.
  const jobs = await fetch(`${address}/v1/jobs`, { headers: { authorization: `Bearer ${ticket}` } });
  expect(jobs.status).toBe(401);

  const admitted = { authorization: `Bearer ${ticket}` };
  const file = readFileSync(join(directories[0], "datasets", columnsFile(dataset)));
  const whole = await get(hash, admitted);
  const bytes = Buffer.from(await whole.arrayBuffer());
  expect([whole.status, createHash("sha256").update(bytes).digest("hex")]).toEqual([200, hash]);
  const etag = whole.headers.get("etag")!;
  const range = "bytes=1000-";
  const conditions: Record<string, string>[] = [{}, { "if-range": etag }];
  for (const condition of conditions) {
    const rest = await get(hash, { ...admitted, range, ...condition });
    expect([rest.status, rest.headers.get("content-range")]).toEqual([
      206,
      `bytes 1000-${file.length - 1}/${file.length}`,
    ]);
    expect(Buffer.from(await rest.arrayBuffer()).equals(file.subarray(1000))).toBe(true);
  }
  const ignored: Record<string, string>[] = [`bytes=${file.length}-`, "bytes=5-6", "lines=1-"].map((each) => ({
    range: each,
  }));
  // Another version would not fit what there is of it.
  for (const headers of [...ignored, { range, "if-range": `"${"0".repeat(64)}"` }]) {
    const answer = await get(hash, { ...admitted, ...headers });
    expect([answer.status, (await answer.arrayBuffer()).byteLength]).toEqual([200, file.length]);
  }
});

test("a worker sends the models of a set to the api", async () => {
  const spec = {
    data: { dataset: dataset.id, target: "target", partition_by: "pixel_0_2", validation: { folds: 2 } },
    model: { layers: [{ type: "linear" }] },
    loss: { type: "cross_entropy" },
    optimizer: { type: "adam" },
    training: { epochs: 1, batch_size: 16 },
  };
  const headers = { "content-type": "application/json" };
  const { body } = await call("/v1/jobs", { method: "POST", headers, body: JSON.stringify(spec) });
  const worker = await start("worker", { RAPPEL_API_URL: address });
  expect((await untilEnded(`/v1/jobs/${body.id}`)).status).toBe("succeeded");
  const files = (directory: string) =>
    readdirSync(join(directory, "datasets")).filter((name) => name.startsWith(body.id));
  expect(files(directories.at(-1)!)).toEqual([]);
  expect(files(directories[0]).toSorted()).toEqual([`${body.id}.0.result`, `${body.id}.index.result`]);
  await worker.stop();
});

test("columns that are damaged on the api's disk are made again before a worker gets them", async () => {
  const table = await upload(digits.subarray(0, digits.lastIndexOf("\n", digits.length - 2) + 1));
  const path = join(directories[0], "datasets", columnsFile(table));
  const sound = readFileSync(path);
  const damaged = Buffer.from(sound);
  damaged[damaged.length >> 1] ^= 0x40;
  writeFileSync(path, damaged);
  // To check a spec, the api reads little of the table.
  const job = await post(table.id);
  expect(readFileSync(path).equals(damaged)).toBe(true);
  const worker = await start("worker", { RAPPEL_API_URL: address });
  expect((await untilEnded(job)).status).toBe("succeeded");
  const fetched = readFileSync(join(directories.at(-1)!, "cache", columnsFile(table)));
  expect(fetched.equals(sound)).toBe(true);
  await worker.stop();
});

test("a job goes back to the queue while the api is away, and is run by a worker that reaches it", async () => {
  const job = await post(dataset.id);
  const astray = await start("worker", { RAPPEL_API_URL: "http://127.0.0.1:9" });
  const requeued = async () => (await call(`${job}/events`)).body.data.find(({ type }) => type === "requeued")?.message;
  await expect.poll(requeued, { timeout: 20_000 }).toContain("could not be fetched from http://127.0.0.1:9");
  expect((await call(job)).body.status).toBe("queued");
  // It waits for a while, and no worker has it.
  const queue = async () => (await call("/v1/status")).body.queue;
  await expect.poll(queue, { timeout: 20_000 }).toMatchObject({ waiting: 1, active: 0, delayed: 0 });
  await astray.stop();
  await start("worker", { RAPPEL_API_URL: address });
  expect((await untilEnded(job)).status).toBe("succeeded");
});

test("a file that is damaged in a worker's cache is fetched again, and the weights are the same", async () => {
  for (const worker of services.filter(({ process }) => process.exitCode === null).slice(1)) await worker.stop();
  const worker = await start("worker", { RAPPEL_API_URL: address });
  const weights = async () => (await untilEnded(await post(dataset.id))).result?.weights_sha256;
  const before = await weights();
  await worker.stop();
  const path = join(directories.at(-1)!, "cache", columnsFile(dataset));
  const sound = readFileSync(path);
  const damaged = Buffer.from(sound);
  // The exponent of one of the last numbers.
  damaged[damaged.length - 1001] ^= 0x40;
  writeFileSync(path, damaged);
  const settings = { RAPPEL_API_URL: address, RAPPEL_DATA_DIR: directories.at(-1)! };
  const next = await start("worker", settings);
  expect(await weights()).toBe(before);
  expect(readFileSync(path).equals(sound)).toBe(true);
  await next.stop();
});

test("a job fails if its dataset no longer exists, or only with a damaged original", async () => {
  for (const worker of services.filter(({ process }) => process.exitCode === null).slice(1)) await worker.stop();
  const gone = await upload("x,target\n1,a\n2,b\n3,a\n4,b\n");
  const half = await upload("x,target\n1,a\n2,b\n3,a\n5,b\n");
  const jobs = [await post(gone.id), await post(half.id)];
  const csv = readFileSync(join(directories[0], "datasets", csvFile(half)));
  csv[csv.length - 4] ^= 1;
  writeFileSync(join(directories[0], "datasets", csvFile(half)), csv);
  for (const name of [...filesOf(gone), columnsFile(half)]) rmSync(join(directories[0], "datasets", name));
  await start("worker", { RAPPEL_API_URL: address, RAPPEL_JOBS: "2" });
  for (const { status, error } of await Promise.all(jobs.map(untilEnded))) {
    expect([status, error?.code]).toEqual(["failed", "dataset_unavailable"]);
  }
});
