import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DatasetCache, DatasetUnreachable, type DatasetCacheOptions } from "../../../src/data/files/cache.ts";
import { DatasetLost, type StoredDataset } from "../../../src/data/dataset.ts";
import { DatasetFiles } from "../../../src/data/files/dataset-files.ts";
import { FIRST_READING, type Reading } from "../../../src/data/reading.ts";
import { ColumnFile } from "../../../src/data/files/column-file.ts";
import { encode } from "../../../src/data/encode/encoding-cache.ts";
import { ingest } from "../../support/datasets.ts";
import { smallDisk } from "../../support/disk.ts";
import { dataSpec } from "../support.ts";

/** A worker's cache against a server that behaves as each test wants it to. */

let directory: string;
let server: Server;
/** The requests so far. */
let requests: { url: string; range: string; authorization: string }[];
let answer: (request: IncomingMessage, response: ServerResponse) => void;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "rappel-cache-"));
  requests = [];
  server = createServer((request, response) => {
    const { range = "", authorization = "" } = request.headers;
    requests.push({ url: request.url!, range, authorization });
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
afterEach(() => {
  server.close();
  server.closeAllConnections();
  rmSync(directory, { recursive: true });
});

async function openCache(options: Partial<DatasetCacheOptions> = {}, place = join(directory, "cache")) {
  const cache = new DatasetCache(place, {
    apiUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/base`,
    authorize: async ({ owner, id }) => `Bearer ${owner}-${id}`,
    maxBytes: 2 ** 20,
    log: pino({ level: "silent" }),
    backoffMs: 1,
    ...options,
  });
  await cache.prepare();
  return cache;
}

/** As the api has it. */
interface Served extends StoredDataset {
  readonly id: string;
  readonly owner: string;
  /** The file of its columns. */
  readonly file: Buffer;
}

async function dataset(rows: number, salt = 0, reading: Reading = FIRST_READING): Promise<Served> {
  const csv = `a,b\n${Array.from({ length: rows }, (_, i) => `${i},${i * 2 + salt}`).join("\n")}\n`;
  const files = new DatasetFiles(join(directory, "api"));
  await files.prepare();
  const content = await ingest(files, Readable.from([Buffer.from(csv)]), 2 ** 30, reading);
  return { ...content, id: `ds_${rows}_${salt}`, owner: "ann", file: readFileSync(files.columnsPath(content)) };
}

/** One that an earlier version recorded. */
const recordedEarlier = (wanted: Served): Served => ({ ...wanted, columns_sha256: null });

/** The same bytes with another one in one place, from the end. */
function changed(file: Buffer, at: number): Buffer {
  const bytes = Buffer.from(file);
  bytes[bytes.length - at] ^= 1;
  return bytes;
}

const etagOf = (file: Buffer) => `"${file.toString("hex", 8, 40)}"`;

/** Where the rest begins that is asked for of this file; 0: all of it is. */
function firstByte({ headers }: IncomingMessage, file: Buffer): number {
  const { range, "if-range": condition } = headers;
  if (condition !== undefined && condition !== etagOf(file)) return 0;
  return Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1] ?? 0);
}

/**
 * The whole file, or the rest that is asked for; all but the last `cut` bytes, and then the
 * connection breaks. Not at once: of what has arrived `fetch` drops what nobody has read by then.
 */
function serve(file: Buffer, cut = 0) {
  return (request: IncomingMessage, response: ServerResponse) => {
    const from = firstByte(request, file);
    response.writeHead(from === 0 ? 200 : 206, { "content-length": file.length - from });
    response.write(file.subarray(from, Math.max(from, file.length - cut)), () => {
      if (cut > 0) setTimeout(() => response.destroy(), 100);
    });
    if (cut === 0) response.end();
  };
}

const rowsOf = (path: string) => ColumnFile.with(path, (file) => file.content.rows);

function kept(): string[] {
  return readdirSync(join(directory, "cache")).sort();
}

test("a dataset is fetched once for all jobs that need it, and is kept", async () => {
  const { file, ...wanted } = await dataset(100);
  answer = serve(file);
  const cache = await openCache();
  expect(await Promise.all([1, 2, 3].map(() => cache.use(wanted, rowsOf)))).toEqual([100, 100, 100]);
  expect(await cache.use(wanted, rowsOf)).toBe(100);
  expect(await (await openCache()).use(wanted, rowsOf)).toBe(100);
  expect(requests).toEqual([
    {
      url: `/base/internal/datasets/${wanted.columns_sha256}`,
      range: "",
      authorization: `Bearer ann-${wanted.id}`,
    },
  ]);
  expect(kept()).toEqual([`${wanted.columns_sha256}.columns`]);
});

test("a download that breaks off is continued, even after its attempts were given up", async () => {
  const { file, ...wanted } = await dataset(50_000);
  answer = serve(file, file.length - 100_000);
  const cache = await openCache();
  await expect(cache.use(wanted, rowsOf)).rejects.toThrow(DatasetUnreachable);
  expect(requests).toHaveLength(5);
  expect(kept()).toEqual([`fetch-${wanted.columns_sha256}-${process.pid}.columns`]);

  answer = serve(file);
  expect(await (await openCache()).use(wanted, rowsOf)).toBe(50_000);
  const ranges = requests.map(({ range }) => Number(range.slice(6, -1)));
  expect(ranges[5]).toBeGreaterThan(0);
  expect(ranges[5]).toBeLessThanOrEqual(100_000);
  expect(kept()).toEqual([`${wanted.columns_sha256}.columns`]);
});

test("a server that ignores the range sends the file from the beginning", async () => {
  const { file, ...wanted } = await dataset(20_000);
  answer = serve(file, 1000);
  const cache = await openCache();
  const whole = (_request: IncomingMessage, response: ServerResponse) => void response.end(file);
  const broken = answer;
  answer = (request, response) => (requests.length === 1 ? broken : whole)(request, response);
  expect(await cache.use(wanted, rowsOf)).toBe(20_000);
  expect(requests).toHaveLength(2);
});

test.each([
  ["another number", (file: Buffer) => serve(changed(file, 9))],
  ["another header", (file: Buffer) => serve(changed(file, file.length - 60))],
  ["no columns", (file: Buffer) => serve(Buffer.alloc(file.length))],
  ["less", (file: Buffer) => serve(file.subarray(0, -8))],
  ["nothing", () => (_request: IncomingMessage, response: ServerResponse) => void response.writeHead(404).end()],
])("a dataset of which the server has %s is lost", async (_what, misbehave) => {
  const { file, ...wanted } = await dataset(100);
  answer = misbehave(file);
  for (const either of [wanted, recordedEarlier({ ...wanted, file })]) {
    await expect((await openCache()).use(either, rowsOf)).rejects.toThrow(DatasetLost);
    expect(requests.splice(0)).toHaveLength(5);
    expect(kept()).toEqual([]);
  }
});

test.each([
  ["that fails", (_request: IncomingMessage, response: ServerResponse) => void response.writeHead(500).end(), "500"],
  ["that refuses", (_request: IncomingMessage, response: ServerResponse) => void response.writeHead(401).end(), "401"],
  ["that is away", ({ socket }: IncomingMessage) => void socket.destroy(), "other side closed"],
])("with a server %s a dataset may be had later", async (_what, misbehave, reason) => {
  const { file, ...wanted } = await dataset(100);
  answer = misbehave;
  const cache = await openCache();
  const failure = await cache.use(wanted, rowsOf).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(DatasetUnreachable);
  expect((failure as Error).message).toContain(reason);
  answer = serve(file);
  expect(await cache.use(wanted, rowsOf)).toBe(100);
});

test("the columns of another dataset are refused, even if they are undamaged", async () => {
  const { file: other } = await dataset(100, 1);
  const wanted = await dataset(100);
  answer = serve(other);
  for (const either of [wanted, recordedEarlier(wanted)])
    await expect((await openCache()).use(either, rowsOf)).rejects.toThrow("it sent other bytes");
  expect(kept()).toEqual([]);
});

test("a dataset of an earlier version is fetched by the hash of its bytes", async () => {
  const wanted = recordedEarlier(await dataset(100));
  answer = serve(wanted.file);
  expect(await (await openCache()).use(wanted, rowsOf)).toBe(100);
  expect(requests[0].url).toBe(`/base/internal/datasets/${wanted.sha256}`);
  expect(kept()).toEqual([`${wanted.sha256}.columns`]);
});

test("columns that are made again while they come are fetched from their beginning", async () => {
  const wanted = recordedEarlier(await dataset(20_000));
  // The api of a later version writes another header.
  const { file: again } = await dataset(20_000, 0, { ...FIRST_READING, comment: "#" });
  answer = (request, response) => (requests.length === 1 ? serve(wanted.file, 1000) : serve(again))(request, response);
  expect(await (await openCache()).use(wanted, rowsOf)).toBe(20_000);
  expect(requests.map(({ range }) => range)).toEqual(["", expect.stringMatching(/^bytes=[1-9]/)]);
  expect(readFileSync(join(directory, "cache", `${wanted.sha256}.columns`)).equals(again)).toBe(true);
});

test("beyond the limit the files used longest ago are removed, but none that is being read", async () => {
  const all = await Promise.all([1, 2, 3, 4].map((salt) => dataset(1000, salt)));
  answer = (request, response) =>
    serve(all.find(({ columns_sha256: hash }) => request.url!.endsWith(hash!))!.file)(request, response);
  const [first, second, third, fourth] = all;
  // Each takes some 30 kB.
  const cache = await openCache({ maxBytes: 70_000 });
  for (const [age, used] of [first, second].entries()) {
    await cache.use(used, rowsOf);
    const then = new Date(Date.now() - (10 - age) * 60_000);
    utimesSync(join(directory, "cache", `${used.columns_sha256}.columns`), then, then);
  }
  await cache.use(first, rowsOf);
  await cache.use(third, rowsOf);
  expect(kept()).toEqual([first, third].map(({ columns_sha256: hash }) => `${hash}.columns`).sort());

  const tiny = await openCache({ maxBytes: 0 });
  const reading = tiny.use(first, async (path) => {
    await tiny.use(fourth, rowsOf);
    await sleep(20);
    return rowsOf(path);
  });
  expect(await reading).toBe(1000);
  expect(kept()).toEqual([]);
  expect(await tiny.use(first, rowsOf)).toBe(1000);
});

test("a dataset that is needed while it is being removed is fetched again", async () => {
  const { file, ...wanted } = await dataset(100);
  answer = serve(file);
  const cache = await openCache({ maxBytes: 0 });
  // Each use ends with letting the file go, while others come that want it.
  const lane = async () => {
    for (let i = 0; i < 20; i++) expect(await cache.use(wanted, rowsOf)).toBe(100);
  };
  await Promise.all([lane(), lane(), lane()]);
  expect(kept()).toEqual([]);
});

describe("a cached file that is damaged between two jobs", () => {
  const flip = (path: string) => {
    const bytes = readFileSync(path);
    bytes[bytes.length - 9] ^= 1;
    writeFileSync(path, bytes);
  };
  const numbers = (path: string) => ColumnFile.with(path, (file) => file.numbers(1));

  test.each([
    ["by a bit", flip],
    ["by its end", (path: string) => truncateSync(path, 500)],
    ["altogether", (path: string) => rmSync(path)],
  ])("%s is fetched anew, once for all who want it", async (_, damage) => {
    const { file, ...wanted } = await dataset(100);
    answer = serve(file);
    const cache = await openCache();
    const before = await cache.use(wanted, numbers);
    damage(join(directory, "cache", `${wanted.columns_sha256}.columns`));
    expect(await Promise.all([1, 2, 3].map(() => cache.use(wanted, numbers)))).toEqual([before, before, before]);
    expect(requests).toHaveLength(2);
    expect(kept()).toEqual([`${wanted.columns_sha256}.columns`]);
  });

  test("is lost if the api no longer has it", async () => {
    const { file, ...wanted } = await dataset(100);
    answer = serve(file);
    const cache = await openCache();
    await cache.use(wanted, numbers);
    flip(join(directory, "cache", `${wanted.columns_sha256}.columns`));
    answer = (_request, response) => void response.writeHead(404).end();
    await expect(cache.use(wanted, numbers)).rejects.toThrow(DatasetLost);
  });

  test("does not reach a job with another encoding, and encodings in memory stay as they were", async () => {
    const { file, ...wanted } = await dataset(100);
    answer = serve(file);
    const cache = await openCache();
    const encoded = (numeric: "standardize" | "none") =>
      cache.use(wanted, (path) => encode(path, dataSpec({ target: "b", preprocess: { numeric } }), "value"));
    const first = await encoded("standardize");
    const features = Float32Array.from(first.data.inputs[0].values);
    flip(join(directory, "cache", `${wanted.columns_sha256}.columns`));
    expect((await encoded("standardize")).data.inputs[0].values).toEqual(features);
    expect(requests).toHaveLength(1);
    const plain = (await encoded("none")).data;
    expect([...plain.inputs[0].values]).toEqual(Array.from({ length: 100 }, (_, i) => i));
    expect(requests).toHaveLength(2);
  });
});

test("a slow download completes, and one that stalls is given up", async () => {
  // Three times the least in three times the time in which it must come.
  const { file, ...wanted } = await dataset(6000);
  const slowly = (bytes: number, everyMs: number) => (request: IncomingMessage, response: ServerResponse) => {
    let at = firstByte(request, file);
    response.writeHead(at === 0 ? 200 : 206, { "content-length": file.length - at });
    const more = setInterval(() => {
      if (at >= file.length) return void (clearInterval(more), response.end());
      response.write(file.subarray(at, at + bytes));
      at += bytes;
    }, everyMs);
    response.on("close", () => clearInterval(more));
  };
  const cache = await openCache({ stalledMs: 400 });
  answer = slowly(1, 20);
  const failure = await cache.use(wanted, rowsOf).catch((error: unknown) => error as Error);
  expect(failure).toBeInstanceOf(DatasetUnreachable);
  expect((failure as Error).message).toContain("less than 16384 bytes came in 0.4 seconds");
  expect(requests).toHaveLength(5);

  answer = slowly(4096, 40);
  expect(await cache.use(wanted, rowsOf)).toBe(6000);

  // The time begins anew with each piece. All of them together take longer.
  answer = slowly(25_000, 500);
  requests = [];
  const patient = await openCache({ stalledMs: 1500 }, join(directory, "another"));
  expect(await patient.use(wanted, rowsOf)).toBe(6000);
  expect(requests).toHaveLength(1);
});

test("a download that becomes too slow is given up", async () => {
  const { file, ...wanted } = await dataset(6000);
  let more: NodeJS.Timeout;
  answer = (request, response) => {
    let at = firstByte(request, file);
    response.writeHead(at === 0 ? 200 : 206, { "content-length": file.length - at });
    if (at === 0) response.write(file.subarray(0, (at = 20_000)));
    more = setInterval(() => response.write(file.subarray(at, ++at)), 20);
    response.on("close", () => clearInterval(more));
  };
  const failure = await (await openCache({ stalledMs: 400 })).use(wanted, rowsOf).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(DatasetUnreachable);
  expect((failure as Error).message).toContain("less than 16384 bytes came in 0.4 seconds");
  expect(requests).toHaveLength(5);
});

test("a worker whose disk is full says so, keeps nothing of what it began, and goes on when there is room", async (context) => {
  const disk = smallDisk(context, "256k");
  const { file, ...wanted } = await dataset(40_000);
  const small = await dataset(100, 5);
  answer = (request, response) =>
    serve(request.url!.endsWith(wanted.columns_sha256!) ? file : small.file)(request, response);
  const cache = await openCache({}, disk.directory);
  expect(await cache.use(small, rowsOf)).toBe(100);
  const failure = await cache.use(wanted, rowsOf).catch((error: unknown) => error as Error);
  expect(failure).toBeInstanceOf(DatasetUnreachable);
  expect((failure as Error).message).toBe(
    `The disk of the cache is full: the dataset ${wanted.id} cannot be kept there.`,
  );
  expect(readdirSync(disk.directory)).toEqual([`${small.columns_sha256}.columns`]);
  await cache.probe();
  disk.fill();
  await expect(cache.probe()).rejects.toThrow("is full");
  disk.resize("8m");
  await cache.probe();
  expect(await cache.use(wanted, rowsOf)).toBe(40_000);
  expect(readdirSync(disk.directory)).not.toContainEqual(expect.stringContaining("fetch-"));
});
