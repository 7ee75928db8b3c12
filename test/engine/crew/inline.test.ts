/** A job that its own thread trains has the bytes that it would have from threads of the pool. */
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { Crew } from "../../../src/engine/crew/crew.ts";
import { inline } from "../../../src/engine/crew/inline.ts";
import type { TrainingJob } from "../../../src/engine/job.ts";
import { classes, member, smallJob, train } from "../../support/training.ts";

const long = () => smallJob({ training: { epochs: 3000 } });
const options = { threads: 1, everySteps: null, state: null, hands: inline };
const handlers = { log() {}, evaluated() {}, snapshot() {} };

async function begun(crew: Crew): Promise<void> {
  while (crew.progress().step === 0) await sleep(1);
}

const jobs: Readonly<Record<string, () => TrainingJob>> = {
  "under adam, keeping the best": () => smallJob({ keepBest: true }),
  "under adafactor with clipped gradients": () =>
    smallJob({ optimizer: member("optimizers", "adafactor"), training: { clip_grad_norm: 0.5 } }),
  observed: () => smallJob({ observe: { every_steps: 3, per_layer: true } }),
  "with averaged weights": () =>
    smallJob({ optimizer: member("optimizers", "schedule_free_adamw"), training: { epochs: 30 } }),
  "logged more often than the log holds": () => smallJob({ training: { epochs: 1000, log_every_steps: 1 } }),
};

describe.each(Object.entries(jobs))("a job %s", (_name, job) => {
  test("tells the same, and ends in the same bytes", async () => {
    const [pool, alone] = [await train(job()), await train(job(), { hands: inline })];
    expect(alone.outcome).toEqual(pool.outcome);
    expect(alone.state).toEqual(pool.state);
    expect(alone.logged).toEqual(pool.logged);
    expect(alone.observed).toEqual(pool.observed);
    expect(alone.findings).toEqual(pool.findings);
  });

  test("goes on from each of its checkpoints", async () => {
    const whole = await train(job(), { hands: inline, everySteps: 25 });
    expect(whole.checkpoints.size).toBe(Math.ceil(whole.outcome.step / 25));
    const steps = [...whole.checkpoints.keys()].filter((_, i) => i % 40 === 0);
    for (const step of steps) {
      const resumed = await train(job(), { hands: inline, state: whole.checkpoints.get(step)! });
      expect(resumed.state?.sha256).toBe(whole.state?.sha256);
    }
  });
});

test("a memory that another job has left is as good as a new one", async () => {
  const [first] = [await train(smallJob(), { hands: inline }), await train(long(), { hands: inline })];
  expect((await train(smallJob(), { hands: inline })).state?.sha256).toBe(first.state?.sha256);
});

test("stops at a step boundary with its state when it is told to", async () => {
  const stopped = await train(long(), {
    hands: inline,
    meanwhile: (crew) => void begun(crew).then(() => crew.stop({ snapshot: true })),
  });
  expect(stopped.outcome.type).toBe("stopped");
  const [[step, state]] = stopped.checkpoints;
  expect(stopped.outcome).toMatchObject({ step });
  const resumed = await train(long(), { hands: inline, state });
  expect(resumed.weights).toBe((await train(long())).weights);
});

test("holds while it is suspended, and goes on", async () => {
  const steps: number[] = [];
  const { outcome } = await train(long(), {
    hands: inline,
    meanwhile: (crew) =>
      void (async () => {
        await begun(crew);
        crew.suspend();
        await sleep(30);
        steps.push(crew.progress().step);
        await sleep(30);
        steps.push(crew.progress().step);
        crew.resume();
      })(),
  });
  expect(steps[1]).toBe(steps[0]);
  expect(outcome.type).toBe("completed");
});

test("stops while it is suspended", async () => {
  const crew = await Crew.start(long(), options, handlers);
  void begun(crew).then(() => {
    crew.suspend();
    setTimeout(() => crew.stop({ snapshot: false }), 20);
  });
  expect(await crew.run()).toMatchObject({ type: "stopped" });
});

test.each(["suspended", "training"])("fails when it is abandoned while %s", async (how) => {
  const crew = await Crew.start(long(), options, handlers);
  void begun(crew).then(() => {
    if (how === "suspended") crew.suspend();
    setTimeout(() => crew.abandon(new Error("the lease is lost")), 20);
  });
  await expect(crew.run()).rejects.toThrow("the lease is lost");
  expect((await train(smallJob(), { hands: inline })).outcome.type).toBe("completed");
});

test("a fault in training ends the run with the reason", async () => {
  const job = { ...smallJob(), loss: member("losses", "cross_entropy", { weight: { nobody: 2 } }) };
  const crew = await Crew.start(job, options, handlers);
  await expect(crew.run()).rejects.toThrow('"nobody" is not a class of the target');
});

test("a state of another job is refused", async () => {
  const { state } = await train(smallJob());
  const job = smallJob({ data: classes(210, 12) });
  await expect(Crew.start(job, { ...options, state: state!.bytes }, handlers)).rejects.toThrow("0.weight is 33 × 11");
});
