// Rows of metrics are packed (src/store/rows.ts).
import fc from "fast-check";
import { expect, test } from "vitest";
import { RowsLost } from "../../src/store/errors.ts";
import { keys } from "../../src/store/keys.ts";
import type { MetricRow } from "../../src/store/record.ts";
import { packRows, sliced, unpackRows } from "../../src/store/rows.ts";
import { acquire, checkpoint, lapse, metricRows, OWNER, postJob, progressAt, room, row, rowsOf } from "./support.ts";
import { MiB, redis, setUpStore, store } from "./setup.ts";

setUpStore();

const names = ["train_loss", "valid_loss", "grad_norm.0"];
const value = fc.oneof(fc.double(), fc.constantFrom(-0, Number.NaN, Infinity, -Infinity, 2 ** 53, 5e-324));
const someRows = fc
  .array(fc.tuple(fc.integer({ min: 0, max: 3 }), fc.subarray(names, { minLength: 1 }), value), { minLength: 1 })
  .map((all) => {
    let step = 2 ** 31;
    return all.map(([more, some, number]): MetricRow => {
      step += more;
      return { step, ...Object.fromEntries(some.map((name) => [name, number])) };
    });
  });
const inOrder = (rows: readonly MetricRow[]) =>
  rows.toSorted((a, b) => a.step - b.step || String(Object.keys(a)).localeCompare(String(Object.keys(b))));

test("what is packed comes out again to the bit, in slices that never part a step", () => {
  fc.assert(
    fc.property(someRows, fc.boolean(), (rows, more) => {
      const slices = sliced(rows, more);
      expect(slices.flat()).toEqual(rows);
      expect(new Set(slices.flatMap((slice) => [...new Set(slice.map(({ step }) => step))])).size).toBe(
        slices.flatMap((slice) => [...new Set(slice.map(({ step }) => step))]).length,
      );
      for (const slice of slices) {
        const found = unpackRows(packRows(slice), 0, Infinity).flatMap(rowsOf);
        // toEqual tells -0 from 0.
        expect(inOrder(found)).toEqual(inOrder(slice));
      }
    }),
  );
});

test("rows of an earlier version are read before those of this one, and are taken back like them", async () => {
  const id = await postJob(store, { room: room(MiB) });
  const job = keys.job(OWNER, id);
  const older = Array.from({ length: 1600 }, (_, i) =>
    // Several rows of one step, so that pages end between them.
    Array.from({ length: 1 + (i % 3) }, (_, n): MetricRow => ({ step: i, [names[n]]: i / 7 })),
  ).flat();
  for (const each of older) redis.zadd(`${job}:metrics`, each.step, JSON.stringify(each)).catch(() => undefined);
  await redis.hset(job, "checkpoint_step", 1500, "run", 1);
  const lease = await acquire(store, id);
  const rows = Array.from({ length: 3000 }, (_, i) => row(1501 + i));
  await lease.report(1, progressAt(4500), [], rows);
  const all = [...older.filter(({ step }) => step <= 1500), ...rows];
  expect(inOrder((await metricRows(store, OWNER, id))!)).toEqual(inOrder(all));
  const some = all.filter(({ step }) => step >= 1400 && step <= 3210);
  expect(inOrder((await metricRows(store, OWNER, id, 1400, 3210))!)).toEqual(inOrder(some));
  expect(await metricRows(store, OWNER, "job_0")).toBeNull();
});

test("a run that takes over drops exactly the rows after the checkpoint, in the middle of a slice too", async () => {
  const id = await postJob(store, { room: room(MiB) });
  const job = keys.job(OWNER, id);
  const spent = async () => Number(await redis.hget(job, "spent"));
  const lease = await acquire(store, id);
  await checkpoint(lease, 1000);
  const before = await spent();
  const rows = Array.from({ length: 4000 }, (_, i) => row(i + 1));
  await lease.report(1, progressAt(4000), [], rows);
  expect(await redis.llen(`${job}:rows`)).toBeGreaterThan(2);
  await lapse(redis, id);
  const second = await acquire(store, id);
  expect(await metricRows(store, OWNER, id)).toEqual(rows.slice(0, 1000));
  await second.report(1, progressAt(1003), [], rows.slice(1000, 1003));
  expect(await metricRows(store, OWNER, id)).toEqual(rows.slice(0, 1003));
  // The slices that are left count, and nothing else.
  const slices = await redis.lrangeBuffer(`${job}:rows`, 0, -1);
  const counted = slices.reduce((sum, slice) => sum + Math.ceil(1.25 * slice.byteLength) + 150, 0);
  const events = (await redis.lrange(`${job}:events`, -2, -1)).reduce(
    (sum, text) => sum + Math.ceil(1.15 * text.length) + 16,
    0,
  );
  expect(await spent()).toBe(before + counted + events);
});

test("rows that Redis has lost are not passed over", async () => {
  const lease = await acquire(store, await postJob(store));
  await lease.report(1, progressAt(2), [], [row(1)]);
  await lease.report(2, progressAt(2), [], [row(2)], 1);
  await redis.del(`${keys.job(OWNER, lease.jobId)}:rows`);
  await expect(lease.report(3, progressAt(3), [], [row(3)], 2)).rejects.toThrow(RowsLost);
  await lease.report(3, progressAt(3), [], [row(1), row(2), row(3)]);
  expect(await metricRows(store, OWNER, lease.jobId)).toEqual([1, 2, 3].map(row));
});
