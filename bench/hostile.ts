// Requests that try to hold the event loop of the api for long, and what they ask for.
import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import { MAX_BODY_BYTES, MAX_ROWS } from "../src/contract/wire/prediction.ts";
import { keys } from "../src/store/keys.ts";
import { packRows, sliced } from "../src/store/rows.ts";

const POINTS = 100_000;
const EVENTS = 100_000;
const JOBS = 3000;

export interface Target {
  readonly address: string;
  readonly redis: Redis;
  /**
   * The ids of a job that has ended, with as many metrics and events as a job may have, of another
   * one like it that is archived, and of a wide dataset.
   */
  readonly job: string;
  readonly archived: string;
  readonly wide: string;
}

export interface Hostile {
  readonly name: string;
  /** A body of a hundred megabytes. */
  readonly large?: true;
  ask(target: Target): Promise<Response>;
}

const model = (layers: object[]) => ({ layers: [...layers, { type: "linear" }] });
const base = {
  data: { synthetic: { type: "two_moons", rows: 100 }, target: "target", validation: { every: 5 } },
  model: model([{ type: "linear", out_features: 4 }, { type: "relu" }]),
  loss: { type: "cross_entropy" },
  optimizer: { type: "adam" },
  training: { epochs: 2, batch_size: 20 },
  checkpoint: { keep_best: true },
};

function post(path: string, body: unknown, { address }: Target, type = "application/json"): Promise<Response> {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return fetch(address + path, { method: "POST", body: text, headers: { "content-type": type } });
}

const validate = (name: string, changes: () => object | string): Hostile => ({
  name,
  ask: (target) => {
    const made = changes();
    return post("/v1/jobs?validate_only=true", typeof made === "string" ? made : { ...base, ...made }, target);
  },
});
const preview = (name: string, schedule: () => object): Hostile => ({
  name: `preview: ${name}`,
  ask: (target) => post("/v1/schedules/preview", { schedule: schedule(), lr: 0.1, steps: 100_000 }, target),
});
const read = (name: string, path: (target: Target) => string, headers: Record<string, string> = {}): Hostile => ({
  name,
  ask: (target) => fetch(target.address + path(target), { headers }),
});
const results = (where: string, id: (target: Target) => string): Hostile[] => {
  const job = (target: Target) => `/v1/jobs/${id(target)}`;
  return [
    read(`${where}metrics of 100,000 points a series`, (target) => `${job(target)}/metrics?max_points=10000`),
    read(`${where}the last of them`, (target) => `${job(target)}/metrics?from_step=99000`),
    read(`${where}one series of them`, (target) => `${job(target)}/metrics?names=train_loss&max_points=2`),
    read(`${where}100,000 events`, (target) => `${job(target)}/events?limit=100`),
    read(`${where}the last of them`, (target) => `${job(target)}/events?after=${EVENTS - 100}`),
    read(`${where}100,000 events as a stream`, (target) => `${job(target)}/events`, { accept: "text/event-stream" }),
    read(`${where}diagnosis`, (target) => `${job(target)}/diagnosis`),
  ];
};
const fork = (name: string, overrides: () => unknown): Hostile => ({
  name: `fork: ${name}`,
  ask: (target) => {
    const made = overrides();
    const body = typeof made === "string" ? made : JSON.stringify({ step: "final", overrides: made });
    return post(`/v1/jobs/${target.job}/fork`, body, target);
  },
});
const predict = (name: string, body: (samples: string) => string): Hostile => ({
  name: `predict: ${name}`,
  ask: (target) => {
    const samples = range(MAX_ROWS).map((i) => [Math.sin(i), Math.cos(i)]);
    return post(`/v1/jobs/${target.job}/predict`, body(JSON.stringify(samples)), target);
  },
});

const range = (count: number) => Array.from({ length: count }, (_, i) => i);
const named = (count: number, value: unknown, length = 8) =>
  Object.fromEntries(range(count).map((i) => [`${i}`.padStart(length, "k"), value]));
const milestones = range(9999).map((i) => i + 1);
const nested = (depth: number, open: string, close: string) => open.repeat(depth) + close.repeat(depth);
const linear = (count: number) =>
  range(count).map((i) => ({ type: "linear", out_features: 1, name: `layer_${i}_${"a".repeat(40)}` }));

const repeat = (times: number, layers: object[]) => ({ type: "repeat", times, layers });
const called = (letter: string) => letter.repeat(64);
const residual = {
  type: "residual",
  name: called("r"),
  layers: [{ type: "linear", out_features: 4, name: called("l") }, { type: "layer_norm" }, { type: "relu" }],
};
/** Layers within so many containers. */
const within = (depth: number, layers: object[]): object[] =>
  depth === 0 ? layers : [{ type: "sequential", name: "s".repeat(13), layers: within(depth - 1, layers) }];
/** A model whose layers take 4 numbers and give 4. */
const wide = (layers: object[]) => model([{ type: "linear", out_features: 4 }, ...layers]);
const ones = [...range(9998).fill(1), 4];

export const hostile: readonly Hostile[] = [
  preview("multi_step", () => ({ type: "multi_step", milestones, gamma: 0.999 })),
  preview("piecewise", () => ({ type: "piecewise", milestones, factors: milestones, interpolation: "cosine" })),
  preview("26 chained", () => ({
    type: "chained",
    schedulers: [
      { type: "chained", schedulers: range(9).map(() => ({ type: "multi_step", milestones, gamma: 0.9999 })) },
      ...range(15).map(() => ({ type: "exponential", gamma: 0.99999 })),
    ],
  })),
  preview("one_cycle", () => ({ type: "one_cycle", max_lr: 1, total_steps: 100_000 })),
  preview("90,000 milestones that are wrong", () => ({
    type: "chained",
    schedulers: range(9).map(() => ({ type: "multi_step", milestones: milestones.map((step) => -step), gamma: 0.9 })),
  })),
  validate("a million synthetic rows", () => ({
    data: { synthetic: { type: "two_moons", rows: 1_000_000, noise: 0.1 }, target: "target" },
  })),
  validate("10,000 inline columns", () => ({
    data: {
      inline: { columns: range(10_000).map((i) => `c${i}`), rows: range(20).map((i) => range(10_000).fill(i)) },
      target: "c0",
    },
  })),
  validate("inline columns of one name", () => ({
    data: { inline: { columns: range(10_000).map(() => "c"), rows: [range(10_000)] }, target: "c" },
  })),
  validate("a million inline rows", () => ({
    data: { inline: { columns: ["a"], rows: range(500_000).map(() => []) }, target: "a" },
  })),
  validate("a mebibyte of inline rows", () => ({
    data: { inline: { columns: ["a"], rows: range(260_000).map((i) => [i % 2]) }, target: "a" },
  })),
  validate("inline rows that are all wrong", () => ({
    data: {
      inline: { columns: range(10_000).map((i) => `c${i}`), rows: range(40).map(() => range(10_000).map(() => [])) },
      target: "c0",
    },
  })),
  validate("9,999 bad metadata keys", () => ({
    metadata: (named(9999, 1, 150).valueOf() as object) && { ...named(9999, "v", 150), "": "" },
  })),
  validate("150,000 members", () => named(150_000, 1)),
  validate("9,999 unknown members", () => named(9999, 1, 100)),
  validate("30,000 members within each other", () => ({ metadata: named(9, named(330, named(9, 1))) })),
  validate("arrays 1,000,000 deep", () => nested(1_000_000, "[", "]")),
  validate("objects 300,000 deep", () => nested(300_000, '{"a":', "1").slice(0, -300_000) + `1${"}".repeat(300_000)}`),
  validate("2 MiB of small arrays", () => ({ x: range(9999).map(() => range(60).map(() => [])) })),
  validate("256 wrong layers", () => ({
    model: { layers: range(256).map((i) => ({ type: `linera${i}`, ...named(30, 1, 60) })) },
  })),
  validate("10,000 wrong layers", () => ({
    model: { layers: range(9999).map((i) => ({ type: `x${i}`, a: 1, b: 2 })) },
  })),
  validate("128 patterns on 256 layers", () => ({
    model: model(linear(255)),
    parameter_groups: range(64).map(() => ({ parameters: ["*a".repeat(60), "*a?".repeat(40)], lr_scale: 2 })),
  })),
  validate("1,022 layers", () => ({ model: wide([repeat(255, [residual])]) })),
  validate("1,022 layers within eight containers, under long names", () => ({
    model: wide(within(8, [repeat(255, [residual])])),
  })),
  validate("1,018 layers with five tensors each", () => ({
    model: wide(
      within(11, [
        repeat(
          254,
          range(4).map((i) => ({ type: "batch_norm1d", name: called(`${i}`) })),
        ),
      ]),
    ),
  })),
  validate("1,002 sums of 16 values", () => ({
    model: wide([repeat(1000, [{ type: "add", branches: range(16).map(() => []) }])]),
  })),
  validate("1,001 layers tied to one", () => ({
    model: wide([
      { type: "linear", name: called("t"), out_features: 4 },
      repeat(999, [{ type: "linear", out_features: 4, bias: false, tied_to: `${called("t")}.weight` }]),
    ]),
  })),
  validate("200 layers of an lstm", () => ({
    model: model([
      { type: "reshape", shape: [1, 2] },
      { type: "lstm", hidden_size: 2, num_layers: 100, bidirectional: true, dropout: 0.1, output: "last_cell" },
    ]),
  })),
  validate("60 blocks of a transformer", () => ({
    model: model([
      { type: "reshape", shape: [1, 2] },
      repeat(60, [{ type: "transformer_encoder_layer", nhead: 2, activation: "swiglu" }]),
      { type: "flatten" },
    ]),
  })),
  validate("1,000 shapes of 9,999 dimensions", () => ({
    model: wide([{ type: "reshape", shape: ones }, repeat(1000, [{ type: "layer_norm", normalized_shape: ones }])]),
  })),
  validate("a permutation of 9,999 dimensions", () => ({
    model: wide([
      { type: "reshape", shape: ones },
      { type: "permute", dims: range(9999) },
    ]),
  })),
  validate("a weight for 9,999 classes", () => ({ loss: { type: "cross_entropy", weight: named(9999, 1) } })),
  validate("9,999 features that are not there", () => ({
    data: {
      synthetic: { type: "linear", rows: 10 },
      target: "target",
      features: range(9999).map((i) => `f${i}`.padEnd(150, "x")),
    },
  })),
  {
    name: "9,999 features of a wide dataset, misspelt",
    ask: (target) =>
      post(
        "/v1/jobs?validate_only=true",
        { ...base, data: { dataset: target.wide, target: "c0", features: range(9999).map((i) => `f${i}`) } },
        target,
      ),
  },
  {
    name: "a job on a wide dataset",
    ask: (target) =>
      post("/v1/jobs?validate_only=true", { ...base, data: { dataset: target.wide, target: "c0" } }, target),
  },
  read("a wide dataset", ({ wide }) => `/v1/datasets/${wide}`),
  read("a list of datasets", () => "/v1/datasets?limit=100"),
  {
    name: "170 MiB of commas",
    large: true,
    ask: (target) => post("/v1/datasets", `x,y\n${",".repeat(170 * 2 ** 20)}`, target, "text/csv"),
  },
  {
    name: "an upload of 100 MB",
    large: true,
    ask: (target) => post("/v1/datasets", `x,y\n${"1,2\n".repeat(25_000_000)}`, target, "text/csv"),
  },
  ...results("", ({ job }) => job),
  ...results("archived: ", ({ archived }) => archived),
  read("a list by metadata of thousands of jobs", () => "/v1/jobs?limit=100&metadata.team=none"),
  read(
    "14 KiB of unknown parameters",
    () =>
      `/v1/jobs?${range(1800)
        .map((i) => `a${i}=`)
        .join("&")}`,
  ),
  read(
    "14 KiB of metadata filters",
    () =>
      `/v1/jobs?${range(900)
        .map((i) => `metadata.${i}=`)
        .join("&")}`,
  ),
  read("14 KiB of statuses", () => `/v1/jobs?status=${",".repeat(14_000)}`),
  read(
    "7,000 known statuses",
    () =>
      `/v1/jobs?status=${range(1800)
        .map(() => "failed")
        .join(",")}`,
  ),
  predict("10,000 rows", (samples) => `{"inputs":${samples}}`),
  predict("10,000 rows in 16 MiB", (samples) => `{"inputs":${samples}}`.padEnd(MAX_BODY_BYTES)),
  fork("2 MiB of members", () => named(9999, 1, 180)),
  fork("patches within patches", () => ({ model: named(30, named(30, named(8, named(3, 1)))) })),
  fork("objects 300,000 deep", () => `{"step":"final","overrides":${'{"a":'.repeat(300_000)}1${"}".repeat(300_001)}`),
  fork("256 other layers", () => ({ model: model(linear(255)) })),
];

/** A job that has ended, with as many rows, series and events as one may have, among thousands. */
export async function prepare(address: string, redis: Redis): Promise<Target> {
  const target = { address, redis, job: "", archived: "", wide: "" };
  const columns = range(10_000).map((i) => `c${i}`);
  const csv = [columns, ...range(12).map((row) => columns.map((_, i) => (row * i) % 7))]
    .map((cells) => cells.join(","))
    .join("\n");
  for (let i = 0; i < 10; i++) {
    const answer = await post("/v1/datasets", `${csv}\n${range(10_000).fill(i).join(",")}`, target, "text/csv");
    target.wide = ((await answer.json()) as { id: string }).id;
  }
  // Until both jobs are filled, this holds the archivists' turn.
  await redis.set(keys.archivist, "bench", "PX", 600_000);
  for (const which of ["job", "archived"] as const) {
    target[which] = await endedJob(target);
    await fill(redis, keys.job("default", target[which]));
  }
  await redis.zrem(keys.unarchived, keys.job("default", target.job));
  await redis.del(keys.archivist);
  const key = keys.job("default", target.job);
  const copies = redis.pipeline();
  for (let i = 0; i < JOBS; i++) {
    const copy = `job_0000000000000000000000${i.toString(10).padStart(4, "0")}`;
    copies.copy(key, `{rappel}:owner:default:job:${copy}`).zadd("{rappel}:owner:default:jobs", 0, copy);
  }
  await copies.exec();
  while ((await redis.hget(keys.job("default", target.archived), "archived")) === null) await sleep(50);
  return target;
}

async function endedJob(target: Target): Promise<string> {
  const { id } = (await (await post("/v1/jobs", base, target)).json()) as { id: string };
  for (;;) {
    const { status } = (await (await fetch(`${target.address}/v1/jobs/${id}`)).json()) as { status: string };
    if (status === "succeeded") return id;
    await sleep(50);
  }
}

/** Gives a job as many rows, series and events as one may have. */
async function fill(redis: Redis, job: string): Promise<void> {
  const series = ["train_loss", "learning_rate", "grad_norm", "valid_loss", "valid_accuracy", "valid_macro_f1"];
  for (let from = 0; from < POINTS; from += 1000) {
    const rows = range(1000).map((i) => {
      const values = series.map((name, n) => [name, Math.sin(from + i) * Math.exp(n / 7)]);
      return { step: from + i, ...Object.fromEntries(values) };
    });
    const event = {
      run: 1,
      created_at: 1e12,
      type: "evaluated",
      message: "Evaluated.",
      step: from,
      data: named(9, 0.123456789),
    };
    await redis.rpush(`${job}:rows`, ...sliced(rows, false).map(packRows));
    await redis.rpush(`${job}:events`, ...range(EVENTS / 100).map(() => JSON.stringify(event)));
  }
}
