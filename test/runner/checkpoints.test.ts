import { pino } from "pino";
import { expect, onTestFinished, test } from "vitest";
import { meters } from "../../src/meters.ts";
import type { Snapshot } from "../../src/engine/crew/crew.ts";
import { Checkpoints, scoreOf } from "../../src/runner/checkpoints.ts";
import { Reporter } from "../../src/runner/reporter.ts";
import { untraced } from "../../src/runner/trace.ts";
import type { ResolvedSpec } from "../../src/contract/schema/spec.ts";
import { acquire, openStore, OWNER, postJob, progressAt, row, sha256, steps } from "../store/support.ts";
import { startTestRedis } from "../support/redis.ts";

test("the best state has the lowest score, whether its metric should be low or high", () => {
  const rising = { metric: "valid_accuracy", mode: "max" } as const;
  const falling = { metric: "valid_mae", mode: "min" } as const;
  const best = (metrics: Record<string, number>[], rule: Parameters<typeof scoreOf>[1]) =>
    metrics.map((each) => scoreOf(each, rule)!).reduce((least, score, i, all) => (score < all[least] ? i : least), 0);
  const metrics = [
    { valid_loss: 2, valid_accuracy: 0.5, valid_mae: 7 },
    { valid_loss: 3, valid_accuracy: 0.9, valid_mae: 6 },
    { valid_loss: 1, valid_accuracy: 0.7, valid_mae: 5 },
    { valid_loss: 4, valid_accuracy: 0.6, valid_mae: 8 },
  ];
  expect(best(metrics, rising)).toBe(1);
  expect(best(metrics, falling)).toBe(2);
  expect(best(metrics, null)).toBe(2);
});

test("a state without the metric, or with one that is not finite, has no score", () => {
  const rule = { metric: "valid_r2", mode: "max" } as const;
  const without: Record<string, number>[] = [{ valid_loss: 1 }, { valid_r2: NaN }, { valid_r2: -Infinity }];
  expect(without.map((each) => scoreOf(each, rule))).toEqual([null, null, null]);
  expect(scoreOf({ valid_loss: Infinity }, null)).toBeNull();
});

/** The writer of the checkpoints of a run that is at step 4. */
async function writing(broken = (error: unknown): void => expect.fail(String(error))) {
  const server = await startTestRedis();
  onTestFinished(() => server.stop());
  const store = await openStore(server);
  const id = await postJob(store);
  const lease = await acquire(store, id);
  const life = { gone: new AbortController().signal, log: pino({ level: "silent" }) };
  const reporter = new Reporter(lease, () => progressAt(4), life.log, broken);
  onTestFinished(() => reporter.stop());
  const spec = {
    checkpoint: { keep_last: 10, keep_best: false },
    training: { early_stopping: null },
    detectors: {},
  } as unknown as ResolvedSpec;
  const checkpoints = new Checkpoints(lease, spec, reporter, life, untraced, () => undefined);
  const bytes = Buffer.from("a state");
  const submit = (step: number, skipped = 0) => {
    const serialize = async () => ({ bytes, sha256: sha256(bytes) });
    const snapshot: Snapshot = { step, kinds: ["periodic"], metrics: {}, skipped, serialize };
    checkpoints.submit(snapshot);
  };
  return { id, store, redis: server.client(), lease, reporter, checkpoints, submit };
}

test("of the checkpoints that become due during a write only the last is written, and one event counts the others", async () => {
  const { id, store, checkpoints, submit } = await writing();
  for (const step of [1, 2, 3, 4]) submit(step);
  await checkpoints.idle();
  expect(await steps(store, id)).toEqual([4, 1]);
  submit(5);
  await checkpoints.idle();
  const { data } = (await store.jobs.events(OWNER, id, { limit: 100 }))!;
  expect(data.filter(({ type }) => type === "checkpoint_skipped")).toMatchObject([{ step: 4, data: { count: 2 } }]);
});

test("checkpoints that the crew could not take are counted with the next one, once", async () => {
  const { id, store, checkpoints, submit } = await writing();
  submit(3, 2);
  await checkpoints.idle();
  submit(4);
  await checkpoints.idle();
  const { data } = (await store.jobs.events(OWNER, id, { limit: 100 }))!;
  expect(data.filter(({ type }) => type === "checkpoint_skipped")).toMatchObject([{ step: 3, data: { count: 2 } }]);
});

test("nothing remains of a checkpoint that cannot be committed", async () => {
  const { id, store, redis, reporter, checkpoints, submit } = await writing(() => undefined);
  await redis.set(`{rappel}:owner:${OWNER}:job:${id}:rows`, "no rows");
  reporter.metrics([row(1)]);
  submit(1);
  await checkpoints.idle();
  expect(await redis.keys("*:uploads")).toEqual([]);
  expect(await redis.keys("*:chunk:*")).toEqual([]);
  expect(await steps(store, id)).toEqual([]);
});

test("a checkpoint is counted with its bytes; one that the run may not write any more is no failure", async () => {
  const counted = async () => {
    const of = async (meter: "checkpointBytes" | "checkpointFailures") => (await meters[meter].get()).values[0].value;
    return [await of("checkpointBytes"), await of("checkpointFailures")];
  };
  const { id, store, redis, lease, reporter, checkpoints, submit } = await writing();
  const [bytes, failures] = await counted();
  submit(1);
  await checkpoints.idle();
  expect(await counted()).toEqual([bytes + "a state".length, failures]);
  await redis.hdel(`{rappel}:owner:${OWNER}:job:${id}`, "lease_expires_at");
  await acquire(store, id);
  submit(2);
  await checkpoints.idle();
  await expect(lease.renew(1000)).rejects.toThrow("someone else");
  expect(await counted()).toEqual([bytes + "a state".length, failures]);
  reporter.stop();
  expect(await steps(store, id)).toEqual([1]);
});
