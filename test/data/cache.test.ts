import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DatasetCache, DatasetUnreachable, type DatasetCacheOptions } from "../../src/data/cache.ts";
import { DatasetLost } from "../../src/data/dataset.ts";
import { ColumnFile } from "../../src/data/column-file.ts";
import { encode } from "../../src/data/encodings.ts";
import { smallDisk } from "../support/disk.ts";
import { dataSpec } from "./support.ts";

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
    authorize: async (sha256) => `Bearer for-${sha256.slice(0, 6)}`,
    maxBytes: 2 ** 20,
    log: pino({ level: "silent" }),
    backoffMs: 1,
    ...options,
  });
  await cache.prepare();
  return cache;
}

function dataset(rows: number, salt = 0) {
  const csv = `a,b\n${Array.from({ length: rows }, (_, i) => `${i},${i * 2 + salt}`).join("\n")}\n`;
  return { csv, sha256: createHash("sha256").update(csv).digest("hex"), bytes: csv.length };
}

/**
 * The whole file, or what the range asks for; all but the last `cut` bytes, and then the connection breaks. Not at once: of what has arrived `fetch` drops
 * what nobody has read by then.
 */
function serve(csv: string, cut = 0) {
  return (request: IncomingMessage, response: ServerResponse) => {
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range!)![1]);
    response.writeHead(from === 0 ? 200 : 206, { "content-length": csv.length - from });
    response.write(csv.slice(from, Math.max(from, csv.length - cut)), () => {
      if (cut > 0) setTimeout(() => response.destroy(), 100);
    });
    if (cut === 0) response.end();
  };
}

const rowsOf = (path: string) => ColumnFile.with(path, (file) => file.content.rows);

function kept(): string[] {
  return readdirSync(join(directory, "cache")).sort();
}

test("a dataset is fetched once for all who want it, and is there the next time", async () => {
  const { csv, ...wanted } = dataset(100);
  answer = serve(csv);
  const cache = await openCache();
  expect(await Promise.all([1, 2, 3].map(() => cache.use(wanted, rowsOf)))).toEqual([100, 100, 100]);
  expect(await cache.use(wanted, rowsOf)).toBe(100);
  expect(await (await openCache()).use(wanted, rowsOf)).toBe(100);
  expect(requests).toEqual([
    {
      url: `/base/internal/datasets/${wanted.sha256}`,
      range: "bytes=0-",
      authorization: `Bearer for-${wanted.sha256.slice(0, 6)}`,
    },
  ]);
  expect(kept()).toEqual([`${wanted.sha256}.columns`]);
});

test("a download that breaks off goes on where it was, even after the attempts were given up", async () => {
  const { csv, ...wanted } = dataset(50_000);
  answer = serve(csv, csv.length - 100_000);
  const cache = await openCache();
  await expect(cache.use(wanted, rowsOf)).rejects.toThrow(DatasetUnreachable);
  expect(requests).toHaveLength(5);
  expect(kept()).toEqual([`fetch-${wanted.sha256}-${process.pid}.csv`]);

  answer = serve(csv);
  expect(await (await openCache()).use(wanted, rowsOf)).toBe(50_000);
  const ranges = requests.map(({ range }) => Number(range.slice(6, -1)));
  expect(ranges[0]).toBe(0);
  expect(ranges[5]).toBeGreaterThan(0);
  expect(ranges[5]).toBeLessThanOrEqual(100_000);
  expect(kept()).toEqual([`${wanted.sha256}.columns`]);
});

test("a download that breaks off when all has come is not made again", async () => {
  const { csv, ...wanted } = dataset(100);
  answer = (_request, response) => {
    response.writeHead(200, { "content-length": csv.length + 1 });
    response.write(csv, () => setTimeout(() => response.destroy(), 100));
  };
  expect(await (await openCache()).use(wanted, rowsOf)).toBe(100);
  expect(requests).toHaveLength(1);
});

test("a server that ignores the range begins anew", async () => {
  const { csv, ...wanted } = dataset(20_000);
  answer = serve(csv, 1000);
  const cache = await openCache();
  const whole = (_request: IncomingMessage, response: ServerResponse) => void response.end(csv);
  const broken = answer;
  answer = (request, response) => (requests.length === 1 ? broken : whole)(request, response);
  expect(await cache.use(wanted, rowsOf)).toBe(20_000);
  expect(requests).toHaveLength(2);
});

test.each([
  ["other bytes", (csv: string) => serve(csv.replace("7,14", "7,15"))],
  ["no table", (csv: string) => serve("x".repeat(csv.length))],
  ["nothing", () => (_request: IncomingMessage, response: ServerResponse) => void response.writeHead(404).end()],
])("a dataset of which the server has %s is lost", async (_what, misbehave) => {
  const { csv, ...wanted } = dataset(100);
  answer = misbehave(csv);
  await expect((await openCache()).use(wanted, rowsOf)).rejects.toThrow(DatasetLost);
  expect(requests).toHaveLength(5);
  expect(kept()).toEqual([]);
});

test.each([
  ["that fails", (_request: IncomingMessage, response: ServerResponse) => void response.writeHead(500).end(), "500"],
  ["that refuses", (_request: IncomingMessage, response: ServerResponse) => void response.writeHead(401).end(), "401"],
  ["that is away", ({ socket }: IncomingMessage) => void socket.destroy(), "other side closed"],
])("with a server %s a dataset may be had later", async (_what, misbehave, reason) => {
  const { csv, ...wanted } = dataset(100);
  answer = misbehave;
  const cache = await openCache();
  const failure = await cache.use(wanted, rowsOf).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(DatasetUnreachable);
  expect((failure as Error).message).toContain(reason);
  answer = serve(csv);
  expect(await cache.use(wanted, rowsOf)).toBe(100);
});

test("more than the dataset has is not taken", async () => {
  const { csv, ...wanted } = dataset(100);
  answer = (_request, response) => void response.end(csv + csv);
  await expect((await openCache()).use(wanted, rowsOf)).rejects.toThrow("more than the dataset has");
});

test("beyond the limit those go that were used longest ago, and none that is being read", async () => {
  const all = [1, 2, 3, 4].map((salt) => dataset(1000, salt));
  answer = (request, response) =>
    serve(all.find(({ sha256 }) => request.url!.endsWith(sha256))!.csv)(request, response);
  const [first, second, third, fourth] = all;
  // Each takes some 30 kB.
  const cache = await openCache({ maxBytes: 70_000 });
  for (const [age, { sha256, bytes }] of [first, second].entries()) {
    await cache.use({ sha256, bytes }, rowsOf);
    const then = new Date(Date.now() - (10 - age) * 60_000);
    utimesSync(join(directory, "cache", `${sha256}.columns`), then, then);
  }
  await cache.use(first, rowsOf);
  await cache.use(third, rowsOf);
  expect(kept()).toEqual([first, third].map(({ sha256 }) => `${sha256}.columns`).sort());

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

test("a dataset that is wanted while it is let go is fetched again", async () => {
  const { csv, ...wanted } = dataset(100);
  answer = serve(csv);
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
    const { csv, ...wanted } = dataset(100);
    answer = serve(csv);
    const cache = await openCache();
    const before = await cache.use(wanted, numbers);
    damage(join(directory, "cache", `${wanted.sha256}.columns`));
    expect(await Promise.all([1, 2, 3].map(() => cache.use(wanted, numbers)))).toEqual([before, before, before]);
    expect(requests).toHaveLength(2);
    expect(kept()).toEqual([`${wanted.sha256}.columns`]);
  });

  test("and that the api does not have any more is lost", async () => {
    const { csv, ...wanted } = dataset(100);
    answer = serve(csv);
    const cache = await openCache();
    await cache.use(wanted, numbers);
    flip(join(directory, "cache", `${wanted.sha256}.columns`));
    answer = (_request, response) => void response.writeHead(404).end();
    await expect(cache.use(wanted, numbers)).rejects.toThrow(DatasetLost);
  });

  test("does not reach a job that encodes the data otherwise, and what is in memory stays as it was", async () => {
    const { csv, ...wanted } = dataset(100);
    answer = serve(csv);
    const cache = await openCache();
    const encoded = (numeric: "standardize" | "none") =>
      cache.use(wanted, (path) => encode(path, dataSpec({ target: "b", preprocess: { numeric } }), "value"));
    const first = await encoded("standardize");
    const features = Float32Array.from(first.data.features);
    flip(join(directory, "cache", `${wanted.sha256}.columns`));
    expect((await encoded("standardize")).data.features).toEqual(features);
    expect(requests).toHaveLength(1);
    const plain = (await encoded("none")).data;
    expect([...plain.features]).toEqual(Array.from({ length: 100 }, (_, i) => i));
    expect(requests).toHaveLength(2);
  });
});

test("a slow download ends if it goes on, and one that does not go on is given up", async () => {
  // Three times the least in three times the time in which it must come.
  const { csv, ...wanted } = dataset(6000);
  let more: NodeJS.Timeout;
  const slowly = (bytes: number, everyMs: number) => (request: IncomingMessage, response: ServerResponse) => {
    let at = Number(/^bytes=(\d+)-$/.exec(request.headers.range!)![1]);
    response.writeHead(at === 0 ? 200 : 206, { "content-length": csv.length - at });
    more = setInterval(() => {
      if (at >= csv.length) return void (clearInterval(more), response.end());
      response.write(csv.slice(at, at + bytes));
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
});

test("a download that goes on well and then slowly is given up", async () => {
  const { csv, ...wanted } = dataset(6000);
  let more: NodeJS.Timeout;
  answer = (request, response) => {
    let at = Number(/^bytes=(\d+)-$/.exec(request.headers.range!)![1]);
    response.writeHead(at === 0 ? 200 : 206, { "content-length": csv.length - at });
    if (at === 0) response.write(csv.slice(0, (at = 20_000)));
    more = setInterval(() => response.write(csv.slice(at, ++at)), 20);
    response.on("close", () => clearInterval(more));
  };
  const failure = await (await openCache({ stalledMs: 400 })).use(wanted, rowsOf).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(DatasetUnreachable);
  expect((failure as Error).message).toContain("less than 16384 bytes came in 0.4 seconds");
  expect(requests).toHaveLength(5);
});

test("a worker whose disk is full says so, keeps nothing of what it began, and goes on when there is room", async (context) => {
  const disk = smallDisk(context, "256k");
  const { csv, ...wanted } = dataset(40_000);
  const small = dataset(100, 5);
  answer = (request, response) => serve(request.url!.endsWith(wanted.sha256) ? csv : small.csv)(request, response);
  const cache = await openCache({}, disk.directory);
  expect(await cache.use(small, rowsOf)).toBe(100);
  const failure = await cache.use(wanted, rowsOf).catch((error: unknown) => error as Error);
  expect(failure).toBeInstanceOf(DatasetUnreachable);
  expect((failure as Error).message).toBe(
    `The disk of the cache is full: the dataset ${wanted.sha256} cannot be kept there.`,
  );
  expect(readdirSync(disk.directory)).toEqual([`${small.sha256}.columns`]);
  await cache.probe();
  disk.fill();
  await expect(cache.probe()).rejects.toThrow("is full");
  disk.resize("8m");
  await cache.probe();
  expect(await cache.use(wanted, rowsOf)).toBe(40_000);
  expect(readdirSync(disk.directory)).not.toContainEqual(expect.stringContaining("fetch-"));
});
