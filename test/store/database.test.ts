// What the errors of Redis and of its client mean to us (src/store/database.ts).
import { ReplyError } from "ioredis";
import { expect, onTestFinished, test } from "vitest";
import { available } from "../../src/store/database.ts";
import { Unavailable } from "../../src/store/errors.ts";
import { library } from "../../src/store/library.ts";
import { acquire, openStore, OWNER, postJob, progressAt, row } from "./support.ts";
import { redis, server, setUpStore, store } from "./setup.ts";

setUpStore();

test("only a connection that failed means that Redis is away", async () => {
  const refused = Object.assign(new Error("connect ECONNREFUSED"), { syscall: "connect" });
  for (const error of [refused, new Error("Connection is closed."), new Error("Socket timeout. Expecting data")]) {
    await expect(available(() => Promise.reject(error))).rejects.toThrow(Unavailable);
  }
  for (const error of [new RangeError("Maximum call stack size exceeded"), new TypeError("not a function")]) {
    await expect(available(() => Promise.reject(error))).rejects.toBe(error);
  }
  const id = await postJob(store);
  const lease = await acquire(store, id);
  await redis.set(`{rappel}:owner:${OWNER}:job:${id}:rows`, "not a list of rows");
  const failure = await lease.report(1, progressAt(1), [], [row(1)]).catch((error: unknown) => error);
  expect(failure).toMatchObject({ message: expect.stringContaining("WRONGTYPE") });
  // What was sent may be large or secret, so no error that may be logged contains it.
  expect(failure).not.toHaveProperty("command");
});

test.each([
  "OOM command not allowed when used memory > 'maxmemory'.",
  "LOADING Redis is loading the dataset in memory",
  "BUSY Redis is busy running a script.",
  "READONLY You can't write against a read only replica.",
  "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
])("a Redis that refuses for a while counts as away: %s", async (message) => {
  const refused = await available(() => Promise.reject(new ReplyError(message))).catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(Unavailable);
  expect(refused).toMatchObject({ full: message.startsWith("OOM") });
});

test("a Redis that hangs counts as away, and the lease is still valid when it answers again", async () => {
  const id = await postJob(store);
  const lease = await acquire(store, id, { leaseMs: 60_000 });
  server.kill("SIGSTOP");
  onTestFinished(() => server.kill("SIGCONT"));
  await expect(lease.renew(60_000)).rejects.toThrow(Unavailable);
  await expect(store.jobs.get(OWNER, id)).rejects.toThrow(Unavailable);
  server.kill("SIGCONT");
  await expect.poll(() => lease.renew(60_000).catch(() => "away"), { timeout: 10_000 }).toBe("running");
});

test("a Redis that lost the scripts gets them again", async () => {
  const id = await postJob(store);
  await redis.function("FLUSH");
  const leases = await Promise.all([id, await postJob(store)].map((job) => acquire(store, job)));
  expect(leases.map(({ run }) => run)).toEqual([1, 1]);
  expect(await libraries()).toEqual([library.name]);
});

test("a Redis that is too full for the scripts runs them nevertheless, so that jobs can be deleted", async () => {
  const id = await postJob(store);
  await redis.function("FLUSH");
  await redis.config("SET", "maxmemory", 1);
  try {
    const another = await openStore(server);
    await expect(postJob(another)).rejects.toMatchObject({ full: true });
    expect(await another.jobs.cancel(OWNER, id)).toMatchObject({ outcome: "cancelled" });
    expect(await another.jobs.remove(OWNER, id)).toMatchObject({ outcome: "removed" });
    expect(await libraries()).toEqual([]);
  } finally {
    await redis.config("SET", "maxmemory", 0);
  }
  await postJob(store);
  expect(await libraries()).toEqual([library.name]);
});

test("the scripts of other versions are removed, also if they still run", async () => {
  const older = (name: string) =>
    `#!lua name=${name}\nredis.register_function('${name}', function() return 'older' end)`;
  for (const name of ["rappel_0", "rappel_1", "others"]) await redis.function("LOAD", older(name));
  await redis.function("DELETE", library.name);
  const another = await openStore(server);
  await postJob(another);
  expect(await libraries()).toEqual(["others", library.name].sort());
  // A process of another version loads its own again, and removes ours no more than we remove its.
  await redis.function("LOAD", older("rappel_0"));
  await redis.function("DELETE", library.name);
  await postJob(another);
  expect(await libraries()).toEqual(["others", "rappel_0", library.name].sort());
});

async function libraries(): Promise<string[]> {
  const found = (await redis.function("LIST")) as string[][];
  return found.map(([, name]) => name).sort();
}
