import { webcrypto } from "node:crypto";
import type { ServerResponse } from "node:http";
import { expect, test } from "vitest";
import { meters } from "../../src/meters.ts";
import { keys } from "../../src/store/keys.ts";
import { Refused, waitMs } from "../../src/webhooks/webhooks.ts";
import { acquire, newJob, room } from "../store/support.ts";
import type { Received } from "./receiver.ts";
import {
  count,
  eventsOf,
  hook,
  open,
  post,
  quiet,
  received,
  receiver,
  redis,
  secrets,
  start,
  store,
} from "./support.ts";

/** Checks a signature like a receiver who has only read the specification. */
async function verified({ headers, body }: Received, secret: Uint8Array): Promise<boolean> {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await webcrypto.subtle.importKey("raw", secret, algorithm, false, ["verify"]);
  const [id, timestamp] = [String(headers["webhook-id"]), String(headers["webhook-timestamp"])];
  const content = new TextEncoder().encode(`${id}.${timestamp}.${body}`);
  const signatures = String(headers["webhook-signature"]).split(" ");
  const checks = signatures.map(async (signature) => {
    const [version, base64] = signature.split(",");
    return version === "v1" && webcrypto.subtle.verify("HMAC", key, Buffer.from(base64, "base64"), content);
  });
  return (await Promise.all(checks)).includes(true);
}

test("an event is sent, signed with each of the owner's secrets, and only if it is wanted", async () => {
  start();
  const id = await post();
  await store.jobs.cancel("ann", id);
  const [message] = await received(1);
  expect(message.url).toBe("/hook");
  expect(message.headers).toMatchObject({ "content-type": "application/json", "webhook-id": `${id}-2` });
  expect(Math.abs(Number(message.headers["webhook-timestamp"]) - Date.now() / 1000)).toBeLessThan(5);
  expect(await verified(message, secrets.ann)).toBe(true);
  expect(await verified(message, secrets.old)).toBe(true);
  expect(await verified(message, secrets.bob)).toBe(false);
  expect(await verified({ ...message, body: `${message.body} ` }, secrets.ann)).toBe(false);

  const body = JSON.parse(message.body);
  expect(body).toMatchObject({
    type: "job.cancelled",
    data: { event: { id: "2", type: "cancelled" }, job: { id, status: "cancelled", metadata: { team: "vision" } } },
  });
  expect(body.timestamp).toBe(body.data.event.created_at);
  expect(body.data.job).not.toHaveProperty("spec");
  await quiet();
  expect(receiver.received).toHaveLength(1);
});

test("any event can be wanted, whoever records it", async () => {
  start();
  const id = await post("ann", ["created", "started", "requeued"]);
  const lease = await acquire(store, id, { owner: "ann" });
  await lease.release({ type: "requeued", message: "Back.", step: null, data: null });
  const messages = await received(3);
  const types = messages.map(({ body }) => JSON.parse(body).type as string);
  expect(types.sort()).toEqual(["job.created", "job.requeued", "job.started"]);
});

test("a message that fails is sent again unchanged, with a new signature", async () => {
  receiver.answer((response, nth) => {
    if (nth === 1) response.writeHead(500).end();
    else if (nth === 2) response.writeHead(302, { location: hook("/elsewhere") }).end();
    else if (nth === 3) response.destroy();
    else response.writeHead(200).end("thanks");
  });
  start();
  const id = await post();
  await store.jobs.cancel("ann", id);
  const messages = await received(4);
  await quiet();
  expect(messages).toHaveLength(4);
  expect(new Set(messages.map(({ body }) => body)).size).toBe(1);
  expect(new Set(messages.map(({ headers }) => headers["webhook-id"])).size).toBe(1);
  expect(messages.map(({ url }) => url)).toEqual(Array(4).fill("/hook"));
  for (const message of messages) expect(await verified(message, secrets.ann)).toBe(true);
  const gaps = messages.slice(1).map(({ at }, i) => at - messages[i].at);
  expect(gaps[0]).toBeGreaterThanOrEqual(49);
  expect(gaps[1]).toBeGreaterThanOrEqual(99);
  expect(gaps[2]).toBeGreaterThanOrEqual(199);
});

test("the waits are those of Standard Webhooks, a little over three days in all", async () => {
  receiver.answer((response) => response.writeHead(500).end());
  start({ scheduleMs: undefined });
  const id = await post();
  await store.jobs.cancel("ann", id);
  const [{ bull }] = open;
  const waits: number[] = [];
  for (;;) {
    await expect.poll(async () => (await bull.getDelayed()).length + (await eventsOf("ann", id)).length).toBe(3);
    const [waiting] = await bull.getDelayed();
    if (waiting === undefined) break;
    waits.push(waiting.delay);
    await waiting.promote();
  }
  const minutes = [1 / 12, 5, 30, 120, 300, 600, 840, 1200, 1440];
  expect(waits).toHaveLength(minutes.length);
  for (const [i, wait] of waits.entries()) {
    const least = Math.round(60_000 * minutes[i]);
    expect(wait).toBeGreaterThanOrEqual(least);
    // Up to a tenth is added to each.
    expect(wait).toBeLessThanOrEqual(1.1 * least);
  }
  expect((await eventsOf("ann", id)).at(-1)).toMatchObject({ type: "webhook_failed", data: { attempts: 10 } });
});

test("a receiver that never answers is given up at the end of the schedule, and delays no other", async () => {
  receiver.answer((response) => {
    if (response.req.url === "/hook") response.writeHead(204).end();
  });
  start({ timeoutMs: 100 });
  const silent = await post("ann", ["cancelled"], hook("/silent"));
  const sound = await post("bob");
  await store.jobs.cancel("ann", silent);
  await store.jobs.cancel("bob", sound);
  await expect.poll(() => count("/silent"), { timeout: 5000 }).toBe(4);
  expect(count("/hook")).toBe(1);
  await quiet();
  expect(count("/silent")).toBe(4);
  expect(await redis.keys("{rappel}:webhooks:job_*")).toEqual([`{rappel}:webhooks:${sound}-2`]);
  expect((await eventsOf("ann", silent)).slice(2)).toMatchObject([
    {
      type: "webhook_failed",
      step: null,
      message:
        "job.cancelled was not delivered to the webhook and is given up (attempts: 4): the receiver did not answer in time.",
      data: { webhook_id: `${silent}-2`, attempts: 4, reason: "the receiver did not answer in time" },
    },
  ]);
  expect((await eventsOf("bob", sound)).map(({ type }) => type)).toEqual(["created", "cancelled"]);
});

test("every 2xx is a success, and nothing else is", async () => {
  const statuses = [200, 299, 300, 304, 400, 404, 500];
  receiver.answer((response) => response.writeHead(Number(response.req.url!.slice(1))).end());
  start({ scheduleMs: [] });
  const failures = new Map<number, unknown>();
  const ids = await Promise.all(statuses.map((status) => post("ann", ["created"], hook(`/${status}`))));
  await received(statuses.length);
  await expect.poll(() => redis.keys("*:messages"), { timeout: 5000 }).toEqual([]);
  for (const [i, id] of ids.entries()) {
    const failed = (await eventsOf("ann", id)).find(({ type }) => type === "webhook_failed");
    if (failed !== undefined) failures.set(statuses[i], failed.data);
  }
  expect([...failures]).toEqual(
    statuses
      .slice(2)
      .map((status) => [
        status,
        { webhook_id: `${ids[statuses.indexOf(status)]}-1`, attempts: 1, reason: `the receiver answered ${status}` },
      ]),
  );
});

test("a name that is not resolved in time counts as no answer in time", async () => {
  start({ scheduleMs: [], timeoutMs: 50, resolve: () => new Promise(() => undefined) });
  const id = await post("ann", ["created"], "https://hooks.example/");
  const reasons = async () =>
    (await eventsOf("ann", id)).flatMap(({ data }) => (data as { reason: string } | null)?.reason ?? []);
  await expect.poll(reasons, { timeout: 5000 }).toEqual(["the receiver did not answer in time"]);
});

test("each attempt is counted by its result", async () => {
  const counts = async () => {
    const { values } = await meters.webhooks.get();
    return Object.fromEntries(values.map(({ labels, value }) => [labels.result, value]));
  };
  const before = await counts();
  receiver.answer((response, nth) => response.writeHead(nth === 3 ? 204 : 500).end());
  start();
  for (const { length } of [{ length: 3 }, { length: 7 }]) {
    await store.jobs.cancel("ann", await post());
    await received(length);
  }
  const since = async () => {
    const now = await counts();
    return Object.fromEntries(
      Object.entries(now).map(([result, count]) => [result, Number(count) - Number(before[result])]),
    );
  };
  await expect.poll(since).toEqual({ delivered: 1, failed: 2 + 3, given_up: 1 });
});

test("a message that is given up twice, because a process died in between, makes one event", async () => {
  const id = await post();
  const given = { type: "webhook_failed" as const, message: "Given up.", step: null, data: null };
  for (const message of [`${id}-1`, `${id}-2`, `${id}-1`]) await store.outbox.undelivered("ann", id, message, given);
  expect((await eventsOf("ann", id)).map(({ type }) => type)).toEqual(["created", "webhook_failed", "webhook_failed"]);
});

test("Retry-After is obeyed", async () => {
  receiver.answer((response, nth) => response.writeHead(nth === 1 ? 429 : 204, { "retry-after": "1" }).end());
  start();
  await store.jobs.cancel("ann", await post());
  const [first, second] = await received(2);
  expect(second.at - first.at).toBeGreaterThanOrEqual(990);
});

test("after a 410 nothing more is sent for that job", async () => {
  receiver.answer((response) => response.writeHead(410).end());
  start();
  const [id, other] = [await post("ann", ["created", "cancelled"]), await post("ann", ["cancelled"])];
  await received(1);
  await expect.poll(() => store.outbox.begin("ann", id, 0)).toBe(false);
  await store.jobs.cancel("ann", id);
  await quiet();
  expect(receiver.received).toHaveLength(1);
  expect(await store.outbox.begin("ann", other, 0)).toBe(true);
  const reported = (await eventsOf("ann", id)).filter(({ type }) => type === "webhook_failed");
  const reason = "the receiver answered 410: nothing more is sent for this job";
  expect(reported.map(({ data }) => data)).toEqual([{ webhook_id: `${id}-1`, attempts: 1, reason }]);
});

test("a wait is that of the schedule and up to a tenth more, or what the receiver asks, at most a day", () => {
  const waits = Array.from({ length: 200 }, () => waitMs(1000));
  expect(Math.min(...waits)).toBeGreaterThanOrEqual(1000);
  expect(Math.max(...waits)).toBeLessThanOrEqual(1100);
  expect(Math.max(...waits) - Math.min(...waits)).toBeGreaterThan(50);
  expect(waitMs(1000, new Refused(429, 7000))).toBe(7000);
  expect(waitMs(1000, new Refused(429, 10))).toBeGreaterThanOrEqual(1000);
  expect(waitMs(1000, new Refused(503, 1e12))).toBe(24 * 3600 * 1000);
  expect(waitMs(1000, new Error("no answer"))).toBeLessThanOrEqual(1100);
});

test("forbidden URLs are not requested, nothing is sent unsigned, and no address is revealed", async () => {
  const resolve = async () => [{ address: "127.0.0.1", family: 4 }];
  start({ allowedHosts: [], resolve });
  const hidden = await post("ann", ["cancelled"], `https://hooks.example:${receiver.port}/`);
  const plain = await post("ann", ["cancelled"], hook());
  for (const id of [hidden, plain]) await store.jobs.cancel("ann", id);
  start({ secrets: new Map() });
  const unsigned = await post("zoe");
  await store.jobs.cancel("zoe", unsigned);
  for (const [owner, id] of [
    ["ann", hidden],
    ["ann", plain],
    ["zoe", unsigned],
  ]) {
    const types = async () => (await eventsOf(owner, id)).map(({ type }) => type);
    await expect.poll(types, { timeout: 10_000 }).toContain("webhook_failed");
  }
  expect(receiver.received).toEqual([]);
  const [reported] = (await eventsOf("ann", hidden)).slice(2);
  expect(reported.data).toMatchObject({ attempts: 4, reason: "the receiver could not be reached" });
});

test("deleting a job deletes its messages that were sent or wait for another attempt, and no others", async () => {
  receiver.answer((response, nth) => response.writeHead(nth === 1 ? 204 : 500).end());
  start({ scheduleMs: [3_600_000] });
  const deleted = await post("ann", ["created", "cancelled"]);
  await received(1);
  await store.jobs.cancel("ann", deleted);
  const kept = await post("ann", ["created"]);
  await received(3);
  await expect.poll(() => redis.zcard("{rappel}:webhooks:delayed")).toBe(2);
  expect(await redis.zrange("{rappel}:webhooks:completed", "0", "-1")).toEqual([`${deleted}-1`]);
  expect(await store.jobs.remove("ann", deleted)).toMatchObject({ outcome: "removed" });
  expect(await redis.keys("{rappel}:webhooks:job_*")).toEqual([`{rappel}:webhooks:${kept}-1`]);
  expect(await redis.zcard("{rappel}:webhooks:completed")).toBe(0);
});

test("a deleted job sends nothing more", async () => {
  const id = await post();
  await store.jobs.cancel("ann", id);
  await store.upkeep.purge(-1000);
  expect(await store.jobs.get("ann", id)).toBeNull();
  start();
  await expect.poll(() => redis.llen(keys.outbox)).toBe(0);
  await quiet();
  expect(receiver.received).toEqual([]);
});

test("a message that was delivered or given up no longer counts against its owner", async () => {
  const counted = async () => Number((await redis.hget("{rappel}:owner:ann:usage", "checkpoint_bytes")) ?? 0);
  const posted = async () => {
    const job = newJob({ owner: "ann", room: { ...room(100_000), messageBytes: 30_000 } });
    Object.assign(job.spec, { webhook: { url: hook(), events: ["created", "cancelled"] } });
    await store.jobs.create(job);
    await store.jobs.cancel("ann", job.id);
    return job.id;
  };
  const [first] = [await posted(), await posted()];
  expect(await counted()).toBeGreaterThan(4 * 30_000);
  receiver.answer((response, nth) => response.writeHead(nth % 2 === 0 ? 204 : 500).end());
  start({ scheduleMs: [] });
  await received(4);
  await expect.poll(counted, { timeout: 5000 }).toBeLessThan(30_000);
  // It counts once, even if a process died and the next one does it again.
  const before = await counted();
  await store.outbox.settled("ann", first, `${first}-1`);
  expect(await counted()).toBe(before);
  expect(await redis.keys("*:messages")).toEqual([]);
});

test("a process that ends does not wait for receivers: the next one sends its messages", async () => {
  const silent: ServerResponse[] = [];
  receiver.answer((response) => void silent.push(response));
  start({ timeoutMs: 600_000 });
  await store.jobs.cancel("ann", await post());
  await received(1);
  await open.splice(0)[0].close(0);
  expect(await redis.zcard("{rappel}:webhooks:prioritized")).toBe(1);
  receiver.answer((response) => response.writeHead(204).end());
  start({ scheduleMs: [] });
  const [first, again] = await received(2);
  expect([again.headers["webhook-id"], again.body]).toEqual([first.headers["webhook-id"], first.body]);
  for (const response of silent) response.destroy();
});

test("sent messages are deleted after a while, even if no more are sent", async () => {
  start({ keptMs: 100 });
  await post("ann", ["created"]);
  await received(1);
  const messages = async () => (await redis.keys("{rappel}:webhooks:job_*")).length;
  await expect.poll(messages, { timeout: 5000 }).toBe(0);
  expect(await redis.zcard("{rappel}:webhooks:completed")).toBe(0);
  expect(await redis.hget("{rappel}:webhooks:meta", "opts.maxLenEvents")).toBe("100");
});
