/**
 * Jobs of a version whose models were lists of layers: their checkpoints are resumed to the bytes
 * that they would have had, and their specs, which lack what came since, still have forks.
 */
import { Redis } from "ioredis";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Upgraded } from "./upgraded.ts";

let upgraded: Upgraded;

beforeAll(async () => {
  upgraded = await Upgraded.start("chain");
});
afterAll(async () => await upgraded?.stop());

test("all answers of an old job stay the same", async () => {
  await upgraded.expectSameAnswers(Object.keys(upgraded.expected.jobs));
});

/** As if these options had come after the version. They change numbers. */
async function withoutSomeOptions(): Promise<void> {
  const redis = new Redis(upgraded.redis);
  for (const { owner, id } of Object.values(upgraded.expected.jobs)) {
    const key = `{rappel}:owner:${owner}:job:${id}`;
    const stored = await redis.hget(key, "spec");
    // The record of a job that has ended is in the archive by now.
    if (stored === null) continue;
    const spec = stored.replace(/,"(negative_slope|label_smoothing)":0(\.01)?(?=[,}])/g, "");
    await redis.hset(key, "spec", spec);
  }
  redis.disconnect();
  expect(JSON.stringify((await upgraded.job("running")).spec)).not.toMatch(/negative_slope|label_smoothing/);
}

test("checkpoints are resumed to their old bytes", { timeout: 120_000 }, async () => {
  const begun = ["paused", "running", "running-observed", "running-fork"];
  for (const name of begun) expect((await upgraded.job(name)).progress.last_checkpoint_step).toBeGreaterThan(0);
  await withoutSomeOptions();
  await upgraded.startWorker();
  await upgraded.expectSameEnds();
});

test("an unchanged fork of an old job takes no step", { timeout: 60_000 }, async () => {
  for (const name of Object.keys(upgraded.expected.jobs)) {
    const parent = await upgraded.job(name);
    const { status, result, spec_sha256, progress } = await upgraded.fork(name, { step: "final" });
    expect({ name, status, result, spec_sha256 }).toEqual({
      name,
      status: "succeeded",
      result: parent.result,
      spec_sha256: parent.spec_sha256,
    });
    expect({ name, step: progress.step }).toEqual({ name, step: parent.progress.step });
  }
});

test("old jobs have changed forks", { timeout: 60_000 }, async () => {
  const changes = [
    { step: "final", overrides: { training: { epochs: 2010 } } },
    { step: "final", optimizer: false, overrides: { optimizer: { lr: 0.01 }, training: { epochs: 2 } } },
    { step: "best", overrides: { training: { epochs: 2 } } },
  ];
  for (const body of changes) {
    const { status, result } = await upgraded.fork("running", body);
    expect({ ...body, status }).toEqual({ ...body, status: "succeeded" });
    expect(result!.weights_sha256).not.toBe((await upgraded.job("running")).result!.weights_sha256);
  }
});
