// The threads that predict: their queue, their limits, and what becomes of requests that nobody
// waits for any more.
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, expect, test } from "vitest";
import { Abandoned } from "../../src/data/pool.ts";
import { NO_READING } from "../../src/data/reading.ts";
import { planForward } from "../../src/engine/plan/forward.ts";
import { writeSafetensors } from "../../src/engine/state/safetensors.ts";
import type { ModelSource } from "../../src/predict/model.ts";
import { MAX_WAITING, Predictor, type PredictionTask } from "../../src/predict/predictor.ts";
import { member } from "../support/training.ts";

const MiB = 2 ** 20;

let predictor: Predictor;
const start = (options: Partial<ConstructorParameters<typeof Predictor>[0]> = {}) => {
  predictor = new Predictor({ threads: 1, maxModelBytes: 256 * MiB, ...options });
};
afterEach(() => predictor.close());

/** Layers from a number to a number, with `width` numbers between them. */
function modelOf(width: number): { source: ModelSource; file: Uint8Array } {
  const zeros = (name: string, ...shape: number[]) => {
    return { name, shape, bytes: new Uint8Array(4 * shape.reduce((product, length) => product * length)) };
  };
  const linear = (outputs: number) => member("layers", "linear", { out_features: outputs });
  const encoder = { column: "x", type: "numeric", scale: "none", mean: 0, std: 1, min: 0, max: 1, fill: null } as const;
  const source: ModelSource = {
    layers: [linear(width), linear(width), linear(1)],
    loss: member("losses", "mse"),
    inputs: [{ name: "features", shape: [1], type: "float32", encoders: [encoder] }],
    target: { column: "y", task: "regression", classes: null, mean: 3, std: 2 },
    window: null,
    reading: NO_READING,
    unseen: "error",
    mayMiss: false,
    weights_sha256: "0".repeat(64),
  };
  const tensors = [
    zeros("0.weight", width, 1),
    zeros("0.bias", width),
    zeros("1.weight", width, width),
    zeros("1.bias", width),
    zeros("2.weight", 1, width),
    zeros("2.bias", 1),
  ];
  return { source, file: writeSafetensors(tensors, { format: "pt" }) };
}

interface Asked {
  readonly owner?: string;
  readonly job?: string;
  readonly rows?: number;
  readonly width?: number;
  readonly load?: PredictionTask["load"];
  readonly signal?: AbortSignal;
}

async function ask({
  owner = "ann",
  job = "job",
  rows = 1,
  width = 2,
  load,
  signal = new AbortController().signal,
}: Asked = {}) {
  const body = Buffer.from(JSON.stringify({ rows: Array.from({ length: rows }, () => ({ x: 1 })) }));
  const task = { owner, job, body, csv: null, load: load ?? (async () => modelOf(width)), signal };
  return JSON.parse((await predictor.predict(task)).toString()) as { predictions: unknown[] };
}

/** A request that holds the thread until `release` is called. */
async function hold() {
  const held = Promise.withResolvers<void>();
  const { promise, resolve: release } = Promise.withResolvers<void>();
  const load = async () => {
    held.resolve();
    await promise;
    return modelOf(2);
  };
  const answer = ask({ job: "held", load });
  await held.promise;
  return { release, answer };
}

test("a model is loaded once, and again after others took its place", async () => {
  const { layers, inputs } = modelOf(512).source;
  const { memoryBytes } = planForward({ model: { layers }, inputs, outputs: 1 });
  start({ maxModelBytes: 2.5 * memoryBytes });
  const loads: string[] = [];
  const askFor = (job: string) =>
    ask({
      job,
      load: async () => {
        loads.push(job);
        return modelOf(512);
      },
    });
  for (const job of ["a", "a", "b", "a", "c", "a", "b"])
    expect((await askFor(job)).predictions).toEqual([{ value: 3 }]);
  expect(loads).toEqual(["a", "b", "c", "b"]);
});

test("a model that is too large is refused with the limit", async () => {
  start({ maxModelBytes: MiB });
  await expect(ask({ width: 1024 })).rejects.toMatchObject({
    code: "too_large",
    message: expect.stringContaining("RAPPEL_PREDICT_MAX_BYTES"),
  });
  expect((await ask({ job: "other" })).predictions).toHaveLength(1);
});

test("so many wait, and the next one is refused until later", async () => {
  start();
  const { release, answer } = await hold();
  const waiting = Array.from({ length: MAX_WAITING }, () => ask());
  await expect(ask()).rejects.toMatchObject({ code: "unavailable", headers: { "retry-after": "1" } });
  expect(() => predictor.reserve("ann", 1)).toThrow(/32 of your requests/);
  // Another owner's is taken nevertheless, and is the next but one.
  predictor.reserve("bob", 1)();
  const answered: string[] = [];
  const anns = waiting.map((each) => each.then(() => answered.push("ann")));
  const bobs = Array.from({ length: 2 }, () => ask({ owner: "bob" }).then(() => answered.push("bob")));
  release();
  await Promise.all([answer, ...anns, ...bobs]);
  expect(answered.slice(0, 5)).toEqual(["ann", "bob", "ann", "bob", "ann"]);
  expect((await ask()).predictions).toHaveLength(1);
});

test("bodies together are limited", () => {
  start();
  const release = Array.from({ length: 6 }, () => predictor.reserve("ann", 16 * MiB));
  expect(() => predictor.reserve("ann", 1)).toThrow(/your requests .*take 100663296 bytes/);
  predictor.reserve("bob", 32 * MiB);
  expect(() => predictor.reserve("bob", 1)).toThrow(/take 134217728 bytes/);
  release[3]();
  predictor.reserve("eve", 16 * MiB);
  expect(() => predictor.reserve("eve", 1)).toThrow(/134217728/);
});

test("a client that leaves gives up its place, or ends the work for it", async () => {
  start();
  const { release, answer } = await hold();
  const leaving = new AbortController();
  const left = ask({ signal: leaving.signal });
  leaving.abort();
  await expect(left).rejects.toThrow(Abandoned);
  release();
  await answer;

  const working = new AbortController();
  const worked = ask({ job: "wide", width: 2048, rows: 10_000, signal: working.signal });
  await sleep(200);
  working.abort();
  await expect(worked).rejects.toThrow(Abandoned);
  expect((await ask()).predictions).toHaveLength(1);
});

test("work is limited to two seconds", async () => {
  start();
  await expect(ask({ width: 4096, rows: 10_000 })).rejects.toMatchObject({
    code: "invalid_spec",
    message: expect.stringMatching(/longer than 2 seconds.*fewer rows/),
  });
  expect((await ask({ width: 2048 })).predictions).toHaveLength(1);
});

test("several threads answer at the same time", async () => {
  start({ threads: 2 });
  const { release, answer } = await hold();
  expect((await ask()).predictions).toHaveLength(1);
  release();
  await answer;
});

test("what waits and what runs is refused when the service closes", async () => {
  start();
  const { release, answer } = await hold();
  const waiting = ask();
  const refused = Promise.all(
    [answer, waiting].map((one) => expect(one).rejects.toMatchObject({ code: "unavailable" })),
  );
  await predictor.close();
  release();
  await refused;
  await expect(ask()).rejects.toMatchObject({ code: "unavailable" });
});
