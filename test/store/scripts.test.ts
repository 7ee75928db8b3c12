// Scripts write at their end what they changed (src/store/lua/shared/base.lua, call.lua).
import { expect, test } from "vitest";
import { Incomplete } from "../../src/store/errors.ts";
import { keys } from "../../src/store/keys.ts";
import { acquire, eventTypes, metricRows, OWNER, postJob, progressAt, room, row, sha256 } from "./support.ts";
import { MiB, redis, setUpStore, store, usage } from "./setup.ts";

setUpStore();

const evaluated = { type: "evaluated" as const, message: "Evaluated.", step: 1, data: null };
const succeeded = { type: "succeeded" as const, message: "Trained.", step: 2000, data: null };

/** The commands that Redis runs for `work`, those of scripts included. */
async function commandsOf(work: () => Promise<unknown>): Promise<number> {
  await redis.config("RESETSTAT");
  await work();
  const stats = await redis.info("commandstats");
  return [...stats.matchAll(/:calls=(\d+)/g)].reduce((sum, [, calls]) => sum + Number(calls), 0);
}

test("a report of many events and rows takes no more commands than a short one", async () => {
  const lease = await acquire(store, await postJob(store));
  const rows = Array.from({ length: 900 }, (_, i) => row(i + 10));
  const events = Array.from({ length: 200 }, () => evaluated);
  const short = await commandsOf(() => lease.report(1, progressAt(1), [evaluated], [row(1)]));
  const long = await commandsOf(() => lease.report(2, progressAt(2), events, rows));
  expect(long).toBe(short);
  expect(await metricRows(store, OWNER, lease.jobId)).toHaveLength(901);
  expect(await eventTypes(store, lease.jobId)).toHaveLength(203);
});

test("a script that fails half-way has counted what it wrote", async () => {
  const ending = { status: "succeeded" as const, progress: progressAt(2000), events: [succeeded] };
  const rows = Array.from({ length: 3 }, (_, i) => row(i + 1));
  const rooms: unknown[] = [];
  for (const breaks of [false, true]) {
    const lease = await acquire(store, await postJob(store, { room: room(MiB) }));
    if (breaks) {
      const models = { final: { blob: "gone", bytes: 10, sha256: sha256("gone") } };
      await expect(lease.finish({ ...ending, models }, rows)).rejects.toThrow(Incomplete);
    }
    await lease.finish(ending, rows);
    rooms.push(await redis.hget(keys.job(OWNER, lease.jobId), "counted_bytes"));
  }
  expect(rooms[1]).toBe(rooms[0]);
  expect((await usage()).checkpoint_bytes).toBe(String(2 * Number(rooms[0])));
});
