// Following a job: server-sent events and long polls, over real connections.
import { request, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { Event } from "../../src/contract/wire/event.ts";
import type { Lease } from "../../src/store/lease.ts";
import type { NewEvent } from "../../src/store/record.ts";
import { acquire, progressAt } from "../store/support.ts";
import { csv, specFor, startService, type Service } from "./service.ts";

let service: Service;
let redis: Redis;
let dataset: string;
beforeAll(async () => {
  service = await startService();
  redis = service.redis.client();
  dataset = (await service.upload(csv)).id;
});
afterAll(() => service.stop());

interface Stream {
  readonly response: IncomingMessage;
  /** What came so far. */
  text(): string;
  events(): Event[];
  progress(): number[];
  readonly ended: Promise<unknown>;
  close(): void;
}

async function open(id: string, { query = "", after }: { query?: string; after?: string } = {}, app = service.app) {
  const { port } = app.server.address() as AddressInfo;
  const headers = { accept: "text/event-stream", ...(after === undefined ? {} : { "last-event-id": after }) };
  const outgoing = request({ port, path: `/v1/jobs/${id}/events${query}`, headers, agent: false });
  outgoing.end();
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    outgoing.on("response", resolve).on("error", reject);
  });
  let text = "";
  response.on("data", (chunk: Buffer) => (text += chunk.toString()));
  response.on("error", () => undefined);
  const frames = (name: RegExp) => {
    // The last one may not be whole yet.
    const whole = text.split("\n\n").slice(0, -1);
    return whole.filter((frame) => name.test(frame)).map((frame) => JSON.parse(frame.split("data: ")[1]));
  };
  const stream: Stream = {
    response,
    text: () => text,
    events: () => frames(/^id: /),
    progress: () => frames(/^event: progress/).map(({ step }) => step),
    ended: new Promise((resolve) => response.on("close", resolve)),
    close: () => outgoing.destroy(),
  };
  return stream;
}

/** A job that may tell of many evaluations. */
const create = async () => (await service.create(specFor(dataset, { training: { epochs: 500, batch_size: 4 } }))).id;
const evaluated = (step: number): NewEvent => ({ type: "evaluated", message: `At ${step}.`, step, data: null });
const succeeded: NewEvent = { type: "succeeded", message: "Done.", step: 12, data: null };
const finish = (lease: Lease) =>
  lease.finish({ status: "succeeded", progress: progressAt(12), events: [succeeded] }, []);
const listed = async (id: string) => (await service.call("GET", `/v1/jobs/${id}/events?limit=100`)).body.data;

test("a stream sends past events, then new ones, and ends with the job", async () => {
  const id = await create();
  const stream = await open(id);
  expect(stream.response.statusCode).toBe(200);
  expect(stream.response.headers).toMatchObject({
    "content-type": "text/event-stream",
    // Proxies would keep it back, and clients would take up a connection that has ended.
    "cache-control": "no-store",
    "x-accel-buffering": "no",
    connection: "close",
    vary: expect.stringMatching(/\baccept\b/i) as string,
  });
  await expect.poll(() => stream.events().map(({ type }) => type)).toEqual(["created"]);
  const lease = await acquire(service.store, id);
  await expect.poll(() => stream.events().map(({ type }) => type)).toEqual(["created", "started"]);
  await lease.report(1, progressAt(3), [evaluated(3), evaluated(4)], []);
  // Without being told it would look again after fifteen seconds.
  await expect.poll(() => stream.events().length, { timeout: 10_000 }).toBe(4);
  await finish(lease);
  await stream.ended;
  expect(stream.events()).toEqual(await listed(id));
  expect(stream.text()).toMatch(/^retry: 1000\n\nid: 1\nevent: created\ndata: \{/);
  expect(stream.progress()).toEqual([]);

  const again = await open(id);
  await again.ended;
  expect(again.events()).toEqual(stream.events());
  expect((await open(id, { after: "4" })).response.statusCode).toBe(200);
  expect((await open(id, { after: "5" })).response.statusCode).toBe(204);
});

test("a stream after an event id that does not exist yet ends with the job", async () => {
  const id = await create();
  const stream = await open(id, { after: "50" });
  await finish(await acquire(service.store, id));
  expect(await Promise.race([stream.ended.then(() => "ended"), sleep(5000)])).toBe("ended");
  expect(stream.events()).toEqual([]);
});

test("a client that has seen all events waits for more", async () => {
  const id = await create();
  const stream = await open(id, { after: "1" });
  expect(stream.response.statusCode).toBe(200);
  await service.call("POST", `/v1/jobs/${id}/pause`);
  await expect.poll(() => stream.events().map(({ type }) => type)).toEqual(["paused"]);
  stream.close();
  // Where a stream goes on says nothing of a page.
  const page = await service.call("GET", `/v1/jobs/${id}/events`, { headers: { "last-event-id": "1" } });
  expect(page.body.data.map(({ type }: Event) => type)).toEqual(["created", "paused"]);
});

test("events after the end of a job are in the list and in a stream, which then ends", async () => {
  const id = await create();
  const cut = await open(id);
  await finish(await acquire(service.store, id));
  await cut.ended;
  const failed: NewEvent = { type: "webhook_failed", message: "Not delivered.", step: null, data: null };
  await service.store.outbox.undelivered("default", id, `${id}-3`, failed);
  const types = ["created", "started", "succeeded", "webhook_failed"];
  for (const after of [undefined, "2", "3"]) {
    const stream = await open(id, { after });
    await stream.ended;
    expect(stream.events().map(({ type }) => type)).toEqual(types.slice(Number(after ?? 0)));
  }
  expect((await open(id, { after: "4" })).response.statusCode).toBe(204);
  await service.call("DELETE", `/v1/jobs/${id}`);
  await service.store.outbox.undelivered("default", id, `${id}-3`, failed);
  expect(await redis.exists(`{rappel}:owner:default:job:${id}:events`)).toBe(0);
});

test("with include=progress a stream also sends the latest progress, nothing twice", async () => {
  const id = await create();
  const stream = await open(id, { query: "?include=progress&after=1" });
  await expect.poll(() => stream.progress()).toEqual([0]);
  const lease = await acquire(service.store, id);
  await expect.poll(() => stream.events().length).toBe(1);
  for (let step = 1; step <= 3; step++) {
    await lease.report(step, progressAt(step), [], []);
    await expect.poll(() => stream.progress().at(-1)).toBe(step);
  }
  await finish(lease);
  await stream.ended;
  // The second was told when the job started: its status changed.
  expect(stream.progress()).toEqual([0, 0, 1, 2, 3, 12]);
  expect(stream.events().map(({ type }) => type)).toEqual(["started", "succeeded"]);
});

test("a client that is cut off fifty times sees every event once", async () => {
  const id = await create();
  const lease = await acquire(service.store, id);
  let written = 0;
  const cut = Promise.withResolvers<void>();
  const writing = (async () => {
    for (let report = 1; report <= 150; report++) {
      await lease.report(report, progressAt(report), [evaluated(++written), evaluated(++written)], []);
      await sleep(5);
    }
    await cut.promise;
    await lease.finish({ status: "succeeded", progress: progressAt(150), events: [succeeded] }, []);
  })();
  const seen: Event[] = [];
  const steps: number[] = [];
  let connections = 0;
  while (seen.at(-1)?.type !== "succeeded") {
    const stream = await open(id, { query: "?include=progress", after: seen.at(-1)?.id });
    if (++connections <= 50) {
      await sleep(Math.random() * 20);
    } else {
      cut.resolve();
      await stream.ended;
    }
    stream.close();
    seen.push(...stream.events());
    steps.push(...stream.progress());
  }
  await writing;
  expect(connections).toBe(51);
  // Updates of the progress may be left out, but never go back, and the last is told.
  expect(steps).toEqual(steps.toSorted((a, b) => a - b));
  expect(steps.at(-1)).toBe(150);
  expect(seen.map((event) => event.id)).toEqual(seen.map((_, i) => String(i + 1)));
  expect(seen).toHaveLength(2 + 300 + 1);
});

test("a stream outlives a restart of Redis, and misses nothing", async () => {
  const id = await create();
  const stream = await open(id);
  await expect.poll(() => stream.events().length).toBe(1);
  service.redis.kill();
  await sleep(200);
  await service.redis.restart();
  await expect.poll(async () => (await service.call("GET", "/readyz")).status, { timeout: 10_000 }).toBe(200);
  await service.call("POST", `/v1/jobs/${id}/cancel`);
  await Promise.race([stream.ended, sleep(5000)]);
  expect(stream.events().map(({ type }) => type)).toEqual(["created", "cancelled"]);
});

test("a client that does not read uses no memory of the service", async () => {
  const id = await create();
  const lease = await acquire(service.store, id);
  const stream = await open(id, { query: "?include=progress" });
  await expect.poll(() => stream.events().length).toBe(2);
  stream.response.pause();
  const looks = vi.spyOn(service.store.jobs, "events");
  const long = { ...evaluated(1), message: "x".repeat(100_000) };
  for (let report = 1; report <= 120; report++) {
    await lease.report(report, progressAt(report), [long], []);
  }
  // It has looked for the last time.
  let before = -1;
  while (looks.mock.calls.length !== before) {
    before = looks.mock.calls.length;
    await sleep(500);
  }
  await lease.report(121, progressAt(121), [long], []);
  await sleep(100);
  expect(looks.mock.calls.length).toBe(before);
  looks.mockRestore();

  // Once it reads again it gets all there is.
  stream.response.resume();
  await finish(lease);
  await stream.ended;
  expect(stream.events()).toHaveLength(2 + 121 + 1);
});

test.each([
  ["?after=x", {}, "?after"],
  ["?include=metrics", {}, "?include"],
  ["", { "last-event-id": "x" }, "last-event-id"],
])("the stream %s with %j is refused", async (query, headers, pointer) => {
  const id = await create();
  const accept = { accept: "text/event-stream" };
  const refused = await service.call("GET", `/v1/jobs/${id}/events${query}`, { headers: { ...accept, ...headers } });
  expect([refused.status, refused.body.code, refused.body.errors[0].pointer]).toEqual([
    400,
    "invalid_parameter",
    pointer,
  ]);
});

test("a job that does not exist has no stream, and HEAD opens none", async () => {
  const headers = { accept: "text/event-stream" };
  const missing = await service.call("GET", "/v1/jobs/job_01k3w9d0c8v6m2q4r7t5x1y9za/events", { headers });
  expect([missing.status, missing.body.code]).toEqual([404, "not_found"]);
  expect((await service.call("HEAD", `/v1/jobs/${await create()}/events`, { headers })).status).toBe(200);
});

test(
  "a long poll answers when the progress changes, or says in time that it has not",
  { timeout: 25_000 },
  async () => {
    const id = await create();
    const path = `/v1/jobs/${id}/progress`;
    const lease = await acquire(service.store, id);
    const ask = (query: string, headers: Record<string, string> = {}) => service.call("GET", path + query, { headers });
    // None of those with a long wait may take it: the test ends before.
    const first = await ask("?wait_ms=30000");
    expect(first.status).toBe(200);
    const known = { "if-none-match": first.headers.etag };
    const start = performance.now();
    expect((await ask("?wait_ms=300", known)).status).toBe(304);
    expect(performance.now() - start).toBeGreaterThan(290);

    const polling = ask("?wait_ms=30000", known);
    await sleep(100);
    await lease.report(1, progressAt(5), [], []);
    const changed = await polling;
    expect(changed).toMatchObject({ status: 200, body: { step: 5 } });

    const pausing = ask("?wait_ms=30000", { "if-none-match": changed.headers.etag });
    await sleep(50);
    await service.call("POST", `/v1/jobs/${id}/pause`);
    expect((await pausing).body.status).toBe("pausing");
    for (const wait of ["-1", "30001", "1.5", "x"]) {
      const { status, body } = await ask(`?wait_ms=${wait}`);
      expect([status, body.errors[0].pointer]).toEqual([400, "?wait_ms"]);
    }
  },
);

test("a thousand streams need no further connection to Redis, and leave nothing when they are closed", async () => {
  const ids = await Promise.all(Array.from({ length: 20 }, create));
  const connections = async () =>
    String(await redis.client("LIST"))
      .trim()
      .split("\n");
  const channels = async () => ((await redis.pubsub("CHANNELS", "*news:job_*")) as string[]).length;
  const before = (await connections()).length;
  const streams = await Promise.all(Array.from({ length: 1000 }, (_, i) => open(ids[i % 20])));
  await expect.poll(() => streams.every((stream) => stream.events().length === 1), { timeout: 10_000 }).toBe(true);
  expect((await connections()).length).toBe(before);
  expect((await connections()).filter((line) => / (sub|psub)=[1-9]/.test(line))).toHaveLength(1);
  expect(await channels()).toBe(20);

  await Promise.all(ids.map((id) => service.call("POST", `/v1/jobs/${id}/pause`)));
  await expect.poll(() => streams.every((stream) => stream.events().length === 2), { timeout: 10_000 }).toBe(true);
  for (const stream of streams) stream.close();
  await expect.poll(channels, { timeout: 10_000 }).toBe(0);
});

test(
  "when the service shuts down, streams end as they should and polls are answered",
  { timeout: 25_000 },
  async () => {
    const other = await startService();
    const { id } = await other.create(specFor((await other.upload(csv)).id));
    const streams = await Promise.all(Array.from({ length: 5 }, () => open(id, {}, other.app)));
    const etag = (await other.call("GET", `/v1/jobs/${id}/progress`)).headers.etag;
    const poll = other.call("GET", `/v1/jobs/${id}/progress?wait_ms=30000`, { headers: { "if-none-match": etag } });
    await expect.poll(() => streams.every((stream) => stream.events().length === 1)).toBe(true);
    await sleep(50);
    await other.stop();
    expect((await poll).status).toBe(304);
    await Promise.all(streams.map((stream) => stream.ended));
    expect(streams.map(({ response }) => response.complete)).toEqual(streams.map(() => true));
  },
);
