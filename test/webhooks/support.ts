// What the tests of webhooks have in common: a store on a private Redis, a receiver, and senders.
import { randomBytes } from "node:crypto";
import type { Redis } from "ioredis";
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, beforeEach, expect } from "vitest";
import type { EventType } from "../../src/contract/schema/event-type.ts";
import type { Store } from "../../src/store/store.ts";
import { Webhooks, type WebhooksOptions } from "../../src/webhooks/webhooks.ts";
import { connected, newJob, openStore } from "../store/support.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";
import { startReceiver, type Received, type Receiver } from "./receiver.ts";

export let server: TestRedis;
export let redis: Redis;
export let store: Store;
export let receiver: Receiver;
export const open: Webhooks[] = [];
export const secrets = { ann: randomBytes(32), old: randomBytes(24), bob: randomBytes(64) };

beforeAll(async () => {
  [server, receiver] = await Promise.all([startTestRedis(), startReceiver()]);
  redis = await connected(server);
  store = await openStore(server);
});
afterAll(() => Promise.all([server.stop(), receiver.stop()]));
beforeEach(async () => {
  await redis.flushall();
  receiver.received.length = 0;
  receiver.answer((response) => response.writeHead(204).end());
});
afterEach(() => Promise.all(open.splice(0).map((webhooks) => webhooks.close(5000))));

export function start(options: Partial<WebhooksOptions> = {}): void {
  const webhooks = new Webhooks({
    store,
    redis,
    patientRedis: server.client({ maxRetriesPerRequest: null }),
    secrets: new Map([
      ["ann", [secrets.ann, secrets.old]],
      ["bob", [secrets.bob]],
      ["old", [secrets.old]],
      ["eve", [secrets.old]],
    ]),
    allowedHosts: ["127.0.0.1"],
    log: pino({ level: "silent" }),
    scheduleMs: [50, 100, 200],
    timeoutMs: 1000,
    ...options,
  });
  open.push(webhooks);
}

export async function post(owner = "ann", events: EventType[] = ["succeeded", "failed", "cancelled"], url = hook()) {
  const job = newJob({ owner, metadata: { team: "vision" } });
  Object.assign(job.spec, { webhook: { url, events } });
  await store.jobs.create(job);
  return job.id;
}

export function hook(path = "/hook"): string {
  return `http://127.0.0.1:${receiver.port}${path}`;
}

export async function received(count: number): Promise<Received[]> {
  await expect.poll(() => receiver.received.length, { timeout: 5000 }).toBeGreaterThanOrEqual(count);
  return receiver.received;
}

export function quiet(ms = 700): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

export async function eventsOf(owner: string, id: string) {
  return (await store.jobs.events(owner, id, { limit: 100 }))!.data;
}

export function count(url: string): number {
  return receiver.received.filter((message) => message.url === url).length;
}
