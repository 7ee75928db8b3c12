// How events get from the outbox to the queue of messages, and in which order owners are served.
import type { ServerResponse } from "node:http";
import { expect, test } from "vitest";
import { Unavailable } from "../../src/store/errors.ts";
import { keys } from "../../src/store/keys.ts";
import { count, hook, open, post, quiet, received, receiver, redis, start, store } from "./support.ts";

test("a recorded event is sent as soon as a process can send it", async () => {
  const id = await post();
  await store.jobs.cancel("ann", id);
  const [entry] = await redis.lrange(keys.outbox, 0, -1);
  expect(entry).toBe(`ann ${id} 2`);
  start();
  await received(1);
  await expect.poll(() => redis.llen(keys.outbox)).toBe(0);
  // As if a process had died after it added the message to the queue and before it removed the
  // entry.
  await redis.rpush(keys.outbox, entry);
  await expect.poll(() => redis.llen(keys.outbox)).toBe(0);
  await quiet();
  expect(receiver.received).toHaveLength(1);
});

test("an event is sent once, however many processes send", async () => {
  // A request that times out is sent again, which a busy machine must not bring about.
  for (let i = 0; i < 4; i++) start({ timeoutMs: 15_000 });
  const ids = await Promise.all(Array.from({ length: 30 }, () => post()));
  await Promise.all(ids.map((id) => store.jobs.cancel("ann", id)));
  await received(30);
  await quiet();
  expect(receiver.received.map(({ headers }) => String(headers["webhook-id"])).sort()).toEqual(
    ids.map((id) => `${id}-2`).sort(),
  );
});

test("slow receivers delay only the messages of their own owners", async () => {
  const slow: ServerResponse[] = [];
  receiver.answer((response) => {
    if (response.req.url === "/slow") slow.push(response);
    else response.writeHead(204).end();
  });
  start({ timeoutMs: 60_000 });
  for (const owner of ["ann", "old", "eve"]) {
    const ids = await Promise.all(Array.from({ length: 20 }, () => post(owner, ["cancelled"], hook("/slow"))));
    await Promise.all(ids.map((id) => store.jobs.cancel(owner, id)));
  }
  // As many messages as one owner may have on the way.
  await expect.poll(() => slow.length, { timeout: 5000 }).toBe(24);
  await store.jobs.cancel("bob", await post("bob"));
  await expect.poll(() => count("/hook"), { timeout: 10_000 }).toBe(1);
  expect(slow).toHaveLength(24);
  for (let i = 0; i < 60; i++) {
    await expect.poll(() => slow.length, { timeout: 10_000 }).toBeGreaterThan(i);
    slow[i].writeHead(204).end();
  }
});

test("owners take turns: nobody waits behind all the messages of another", async () => {
  const turns = new Map<string, number>();
  const forward = () => store.outbox.forward(async ({ id, turn }) => void turns.set(id, turn));
  const again = (owner: string, id: string) => redis.rpush(keys.outbox, `${owner} ${id} 1`);
  await redis.zadd("{rappel}:webhooks:prioritized", 1, "something that waits");
  const ann = await Promise.all(Array.from({ length: 5 }, () => post("ann", ["created"])));
  const bob = await post("bob", ["created"]);
  await forward();
  expect(ann.map((id) => turns.get(id)!).sort((a, b) => a - b)).toEqual([1, 2, 3, 4, 5]);
  expect(turns.get(bob)).toBe(1);
  // The present turn is the latest of which something was sent.
  await store.outbox.begin("ann", ann[0], 4);
  await store.outbox.begin("ann", ann[1], 3);
  await again("bob", bob);
  await forward();
  expect(turns.get(bob)).toBe(5);
  // Turns begin again at 1 when nothing waits.
  await redis.del("{rappel}:webhooks:prioritized");
  await again("ann", ann[0]);
  await forward();
  expect(turns.get(ann[0])).toBe(1);
});

test("a message whose turn is beyond the highest priority of the queue is sent nevertheless", async () => {
  start();
  const { bull } = open.at(-1)!;
  const waiting = () => redis.zcard("{rappel}:webhooks:prioritized");
  await bull.pause();
  await post("ann", ["created"]);
  await expect.poll(waiting, { timeout: 5000 }).toBe(1);
  await redis.hset("{rappel}:webhook_turns", "ann", 2 ** 21 + 5);
  await post("ann", ["created"]);
  await expect.poll(waiting, { timeout: 5000 }).toBe(2);
  await bull.resume();
  await received(2);
});

test("an event that cannot be handed on stays, and delays no other", async () => {
  const ids = [];
  for (let i = 0; i < 205; i++) ids.push(await post("ann", ["created"]));
  const stuck = [...ids.slice(0, 150), ids[160]];
  const delivered: string[] = [];
  const forwarded = store.outbox.forward(async ({ id }) => {
    if (stuck.includes(id)) throw new Error(`not ${id}`);
    delivered.push(id);
  });
  await expect(forwarded).rejects.toThrow("not job_");
  expect(delivered.sort()).toEqual(ids.filter((id) => !stuck.includes(id)).sort());
  expect(await redis.lrange(keys.outbox, 0, -1)).toEqual(stuck.map((id) => `ann ${id} 1`));
  await store.outbox.forward(async ({ id }) => void delivered.push(id));
  expect(delivered.slice(54).sort()).toEqual([...stuck].sort());
  expect(await redis.llen(keys.outbox)).toBe(0);
});

test("if the queue takes nothing, only the first events are tried", async () => {
  for (let i = 0; i < 205; i++) await post("ann", ["created"]);
  let asked = 0;
  const forwarded = store.outbox.forward(async () => {
    asked++;
    throw new Unavailable("Redis refuses: OOM");
  });
  await expect(forwarded).rejects.toThrow("OOM");
  expect(asked).toBe(100);
  expect(await redis.llen(keys.outbox)).toBe(205);
});
