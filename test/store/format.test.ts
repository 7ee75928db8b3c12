import { pino } from "pino";
import { expect, test } from "vitest";
import { FORMAT } from "../../src/store/format.ts";
import { OWNER, postJob, tryClaim } from "./support.ts";
import { redis, setUpStore, store } from "./setup.ts";

const log = pino({ level: "silent" });
const [key, lock] = ["{rappel}:format", "{rappel}:upgrade"];
const newer = `The store in Redis has format ${FORMAT + 1}, and this version of Rappel knows formats up to ${FORMAT}: start the version that made it or a later one, or restore a back-up made before the upgrade.`;

setUpStore();

test("a store without a number gets it, and the lock is released", async () => {
  await store.format.upgrade(log);
  expect(await redis.get(key)).toBe(String(FORMAT));
  expect(await redis.exists(lock)).toBe(0);
  await store.format.check();
});

test("an upgrade is logged, but not if the store never held anything", async () => {
  const lines: string[] = [];
  const logged = pino({}, { write: (line: string) => void lines.push(line) });
  await store.format.upgrade(logged);
  expect(lines).toEqual([]);
  await postJob(store);
  await redis.del(key);
  await store.format.upgrade(logged);
  expect(lines).toHaveLength(FORMAT - 1);
  expect(JSON.parse(lines[0])).toMatchObject({ from: 1, to: 2, msg: "upgrading the store" });
});

test("a process whose upgrade outlasts its lock leaves the lock of the next one alone", async () => {
  await postJob(store);
  await redis.del(key);
  // Sent in the middle of the upgrade over the same connection, so it happens before what follows.
  const outlasted = pino({}, { write: () => void redis.set(lock, "another") });
  await store.format.upgrade(outlasted);
  expect(await redis.get(lock)).toBe("another");
});

test("while another process upgrades the store, this one waits", async () => {
  await redis.set(lock, "another");
  let done = false;
  const upgrading = store.format.upgrade(log).then(() => (done = true));
  const tries = async () => Number(/cmdstat_set:calls=(\d+)/.exec(await redis.info("commandstats"))![1]);
  const before = await tries();
  await expect.poll(tries).toBeGreaterThan(before + 1);
  expect({ done, number: await redis.get(key), lock: await redis.get(lock) }).toEqual({
    done: false,
    number: null,
    lock: "another",
  });
  await redis.del(lock);
  await upgrading;
  expect(await redis.get(key)).toBe(String(FORMAT));
});

test("a newer store is refused with a sentence, and stays unchanged", async () => {
  await redis.set(key, FORMAT + 1);
  await expect(store.format.upgrade(log)).rejects.toThrow(newer);
  await expect(store.format.check()).rejects.toThrow(newer);
  expect(await redis.get(key)).toBe(String(FORMAT + 1));
});

test("no run takes a job from a newer store", async () => {
  const id = await postJob(store);
  await redis.set(key, FORMAT + 1);
  expect(await tryClaim(store)).toEqual({ outcome: "newer", wake: false });
  expect(await store.jobs.get(OWNER, id)).toMatchObject({ status: "queued", run: 0 });
  await redis.set(key, FORMAT);
  expect(await tryClaim(store)).toMatchObject({ outcome: "taken" });
});
