import { readFileSync } from "node:fs";
import { afterEach, describe, expect, test } from "vitest";
import { Crew } from "../../../src/engine/crew/crew.ts";
import { ThreadFailed } from "../../../src/engine/crew/hands.ts";
import { MODULE_BYTES } from "../../../src/engine/kernels/kernels.ts";
import { MAX_MEMORY_BYTES } from "../../../src/engine/plan/memory.ts";
import {
  dropUnused,
  KEPT_BYTES,
  KEPT_MS,
  keptBytes,
  returnMemory,
  sizeClass,
  takeMemory,
} from "../../../src/engine/crew/memories.ts";
import { syntheticTable } from "../../../src/data/synthetic.ts";
import { curveOf } from "../../../src/engine/schedules/curve.ts";
import type { Schedule } from "../../../src/engine/settings.ts";
import { endIdle, IDLE_MS, returnThread, takeThreads } from "../../../src/engine/crew/pool.ts";
import { extractModels } from "../../../src/engine/state/state-worker.ts";
import { member, smallJob, train } from "../../support/training.ts";

const MiB = 2 ** 20;
const GiB = 2 ** 30;
const handlers = { log() {}, evaluated() {}, snapshot() {} };

/**
 * V8 reserves some 8 GiB of addresses for each shared memory, and gives them up only when the
 * memory is really free.
 */
const memories = (): number => Math.round(virtualBytes() / (8 * GiB));

function virtualBytes(): number {
  return Number(/^VmSize:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))![1]) * 1024;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10));
}

/** Until the thread of states has cleared whatever was returned before. */
const cleared = () => extractModels(new Uint8Array(1), []);

const isClean = (memory: WebAssembly.Memory) => new Uint8Array(memory.buffer, MODULE_BYTES).every((byte) => byte === 0);

/** Some 50 MB of memory, a third of them state. */
const large = () => {
  const linear = (outputs: number | null) => member("layers", "linear", { out_features: outputs });
  return smallJob({ layers: [linear(1400), linear(1400), linear(null)], training: { epochs: 1, batch_size: "full" } });
};

afterEach(async () => {
  await cleared();
  dropUnused(performance.now() + KEPT_MS);
});

describe("a size class of memories", () => {
  const sizes = Array.from({ length: 2000 }, (_, i) => Math.round(MAX_MEMORY_BYTES ** ((i + 1) / 2000)));

  test("holds the sizes it is for, and not much more", () => {
    for (const size of sizes) {
      expect(sizeClass(size)).toBeGreaterThanOrEqual(size);
      expect(sizeClass(size)).toBeLessThanOrEqual(Math.max(MiB, size * 1.25));
      expect(sizeClass(sizeClass(size))).toBe(sizeClass(size));
    }
  });

  test("is one of a few, and is never larger than a memory may be", () => {
    expect(new Set(sizes.map(sizeClass)).size).toBeLessThan(60);
    expect(sizeClass(MAX_MEMORY_BYTES)).toBe(MAX_MEMORY_BYTES);
  });
});

describe("a memory that a job has given back", () => {
  test("goes to the next job, filled with zeros", async () => {
    const { crew } = await train(smallJob(), { threads: 2 });
    await cleared();
    const memory = await takeMemory(crew.plan.memoryBytes);
    expect(keptBytes()).toBe(0);
    expect(isClean(memory)).toBe(true);
    await returnMemory(memory, 0);
    expect(await takeMemory(crew.plan.memoryBytes)).toBe(memory);
  });

  test("does not change the bytes of the next job", async () => {
    // It has what is not written before it is read: moments that begin at zero, best weights that
    // are not there yet, a state's gaps.
    const job = () => smallJob({ keepBest: true, training: { epochs: 3, eval_every_epochs: 100, clip_grad_norm: 1 } });
    const options = { threads: 2, everySteps: 3 };
    const fresh = await train(job(), options);
    dropUnused(performance.now() + KEPT_MS);
    const { layers } = smallJob({
      layers: [member("layers", "linear", { out_features: 50 }), member("layers", "linear")],
    }).model;
    for (const type of ["lamb", "muon", "ademamix"]) {
      await train(
        smallJob({ layers, optimizer: member("optimizers", type), observe: { every_steps: 1, per_layer: true } }),
      );
      await cleared();
      const kept = keptBytes();
      expect(kept).toBeGreaterThan(0);
      const again = await train(job(), options);
      await cleared();
      expect(keptBytes()).toBe(kept);
      expect(again.state!.sha256).toBe(fresh.state!.sha256);
      expect([...again.checkpoints].slice(0, 1)).toEqual([...fresh.checkpoints].slice(0, 1));
    }
  });

  test("is kept up to a limit, and the one that was unused for longest goes first", async () => {
    const sizes = [300, 200, 320, 640, 16].map((size) => size * MiB);
    const taken = await Promise.all(sizes.map(takeMemory));
    for (const memory of taken) {
      await returnMemory(memory, 0);
      expect(keptBytes()).toBeLessThanOrEqual(KEPT_BYTES);
    }
    expect(await takeMemory(640 * MiB)).toBe(taken[3]);
    expect(await takeMemory(320 * MiB)).toBe(taken[2]);
    expect(await takeMemory(200 * MiB)).not.toBe(taken[1]);
    await returnMemory(await takeMemory(KEPT_BYTES + 1), 0);
    expect(keptBytes()).toBeLessThanOrEqual(KEPT_BYTES);
  });

  test("does not go to a job that needs much less", async () => {
    const large = await takeMemory(64 * MiB);
    await returnMemory(large, 0);
    expect((await takeMemory(MiB)).buffer.byteLength).toBe(MiB);
    expect(await takeMemory(64 * MiB)).toBe(large);
  });

  test("is given up if a new one needs its room", async () => {
    const taken = await Promise.all([takeMemory(600 * MiB), takeMemory(200 * MiB)]);
    await Promise.all(taken.map((memory) => returnMemory(memory, 0)));
    await takeMemory(500 * MiB);
    expect(keptBytes()).toBe(sizeClass(200 * MiB));
  });

  test("no longer belongs to its crew: later commands do not reach it", async () => {
    const { crew } = await train(smallJob(), { threads: 2 });
    await cleared();
    const memory = await takeMemory(crew.plan.memoryBytes);
    const before = crew.progress();
    expect(before.step).toBe(60);
    crew.suspend();
    crew.snapshot();
    crew.stop({ snapshot: true });
    crew.abandon(new Error("too late"));
    expect(isClean(memory)).toBe(true);
    new Uint8Array(memory.buffer, MODULE_BYTES).fill(1);
    expect(crew.progress()).toEqual(before);
  });

  test("belongs to its crew until the last snapshot is serialized", async () => {
    let serialize: (() => Promise<unknown>) | null = null;
    // The thread that trained writes a small last state itself.
    const crew = await Crew.start(
      large(),
      { threads: 1, everySteps: null, state: null },
      { ...handlers, snapshot: (snapshot) => (serialize = () => snapshot.serialize()) },
    );
    await crew.run();
    await cleared();
    expect(keptBytes()).toBe(0);
    await serialize!();
    await cleared();
    expect(keptBytes()).toBe(sizeClass(crew.plan.memoryBytes));
  });
});

describe("a crew leaves nothing behind", () => {
  const started = () => Crew.start(smallJob(), { threads: 3, everySteps: null, state: null }, handlers);
  const expectInOrder = async ({ plan }: Crew) => {
    await cleared();
    expect(keptBytes()).toBe(sizeClass(plan.memoryBytes));
    const memory = await takeMemory(plan.memoryBytes);
    expect(isClean(memory)).toBe(true);
    await returnMemory(memory, 0);
    const [whole, again] = [await train(smallJob()), await train(smallJob(), { threads: 3 })];
    expect(again.weights).toBe(whole.weights);
  };

  test("that is abandoned while its threads wait for one another", async () => {
    const crew = await started();
    // The leader holds after the first step, and the others wait for it in the barrier.
    crew.suspend();
    const run = expect(crew.run()).rejects.toThrow("called off");
    await until(() => crew.progress().step === 1);
    crew.abandon(new ThreadFailed("called off"));
    await run;
    await expectInOrder(crew);
  });

  test("that is abandoned before it has begun", async () => {
    const crew = await started();
    crew.abandon(new ThreadFailed("called off"));
    await expect(crew.run()).rejects.toThrow("called off");
    await expectInOrder(crew);
  });

  test("whose state is not its job's", async () => {
    const state = (await train(smallJob())).state!.bytes;
    await cleared();
    const before = keptBytes();
    const optimizer = member("optimizers", "sgd", { lr: 1 });
    const job = smallJob({ optimizer });
    await expect(Crew.start(job, { threads: 3, everySteps: null, state }, handlers)).rejects.toThrow("model lacks");
    await cleared();
    expect(keptBytes()).toBe(before);
    const crew = await started();
    crew.abandon(new ThreadFailed("called off"));
    await expect(crew.run()).rejects.toThrow();
    await expectInOrder(crew);
  });

  test.each([0, 2])("of which thread %i dies at work, and another takes its place", async (which) => {
    const threads = takeThreads(3);
    for (const thread of threads.toReversed()) returnThread(thread, 0);
    const crew = await started();
    crew.suspend();
    const run = expect(crew.run()).rejects.toThrow("a training thread ended");
    await until(() => crew.progress().step === 1);
    await threads[which].terminate();
    await run;
    await expectInOrder(crew);
    expect(takeThreads(3)).not.toContain(threads[which]);
  });

  test("whose threads are ended when no crew takes them", async () => {
    const threads = takeThreads(2);
    for (const thread of threads) returnThread(thread, 0);
    endIdle(performance.now());
    expect(takeThreads(2).toReversed()).toEqual(threads);
    for (const thread of threads) returnThread(thread, 0);
    const ended = threads.map((thread) => new Promise((exited) => thread.once("exit", exited)));
    endIdle(performance.now() + IDLE_MS);
    await Promise.all(ended);
    expect((await train(smallJob(), { threads: 2 })).weights).toBe((await train(smallJob())).weights);
  });

  test("of which a thread dies while it is idle, and another takes its place", async () => {
    const threads = takeThreads(3);
    for (const thread of threads) returnThread(thread, 0);
    await threads[1].terminate();
    const whole = await train(smallJob());
    expect((await train(smallJob(), { threads: 3 })).weights).toBe(whole.weights);
  });
});

describe.runIf(process.platform === "linux")("one after another", () => {
  test("curves and synthetic tables take one memory, which is not that of a job", () => {
    const schedule = { ...member("schedules", "constant"), interval: "step", warmup_steps: 0 } as Schedule;
    const before = memories();
    for (let i = 0; i < 20; i++) {
      curveOf({ schedule, lr: 1, steps: 5, stepsPerEpoch: 1 });
      syntheticTable({ type: "linear", rows: 20, noise: 0, seed: i });
    }
    expect(memories()).toBeLessThanOrEqual(before + 2);
  });

  test("many jobs take no more memory than two, and give it back when no job needs it", async () => {
    const rounds = async (count: number) => {
      for (let i = 0; i < count; i++) await train(large(), { threads: 2 });
    };
    await rounds(3);
    const [resident, mapped] = [process.memoryUsage.rss(), memories()];
    const [{ crew }] = [await train(large(), { threads: 2 })];
    await rounds(12);
    expect(keptBytes()).toBeLessThanOrEqual(2 * sizeClass(crew.plan.memoryBytes));
    // What is not a job's memory, such as its files, comes and goes.
    expect(process.memoryUsage.rss() - resident).toBeLessThan(6 * crew.plan.memoryBytes);
    expect(memories()).toBeLessThanOrEqual(mapped + 1);
    await cleared();
    dropUnused(performance.now() + KEPT_MS);
    expect(keptBytes()).toBe(0);
    await until(() => memories() < mapped);
  });
});
