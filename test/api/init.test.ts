// Jobs that begin with the weights of another or with uploaded ones, trained by a real worker.
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { givenInit } from "../../src/contract/schema/init.ts";
import type { Job } from "../../src/contract/wire/job.ts";
import { readSafetensors, writeSafetensors, type Tensor as StateTensor } from "../../src/engine/state/safetensors.ts";
import { floats, longs, safetensors, type Tensor } from "../data/tensors/files.ts";
import { ended, startProcess, type WorkerProcess } from "../worker/support.ts";
import { csv, startService, type Service } from "./service.ts";

let service: Service;
let worker: WorkerProcess;
let dataset: string;
let parent: Job;

const layers = [{ type: "linear", out_features: 4 }, { type: "batch_norm1d" }, { type: "relu" }, { type: "linear" }];
const spec = (changes: object = {}) => ({
  data: { dataset, target: "label", validation: { every: 5 } },
  model: { layers },
  loss: { type: "cross_entropy" },
  optimizer: { type: "sgd", lr: 0 },
  training: { epochs: 2, batch_size: 4 },
  ...changes,
});

const until = async (id: string, condition: (job: Job) => boolean): Promise<Job> => {
  for (;;) {
    const job = (await service.call("GET", `/v1/jobs/${id}`)).body as Job;
    if (condition(job)) return job;
    await sleep(20);
  }
};
const trained = async (body: object) => await until((await service.create(body)).id, ended);
const post = (body: object, query = "") => service.call("POST", `/v1/jobs${query}`, { body });
const faults = ({ status, body }: Awaited<ReturnType<Service["call"]>>): string[] => {
  expect([status, body.code]).toEqual([422, "invalid_spec"]);
  return body.errors.map(({ pointer, message }: Record<string, string>) => `${pointer} ${message}`);
};
const upload = (file: Buffer, query = "") =>
  service.call("POST", `/v1/weights${query}`, { body: file, headers: { "content-type": "application/octet-stream" } });
const model = async (id: string): Promise<Buffer> => {
  const { body } = await service.call("GET", `/v1/jobs/${id}/model`);
  return body as Buffer;
};
const weightsOf = async (id: string, name: string) => {
  const { bytes } = readSafetensors(await model(id)).tensors.get(name)!;
  return Buffer.from(bytes);
};

/** The tensors of the model; `changes` replaces some. */
function stateDict(changes: Record<string, Tensor | null> = {}): Record<string, Tensor> {
  const f32 = (shape: number[], value: number): Tensor => {
    const data = floats(...Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => value + i / 8));
    return { dtype: "F32", shape, data };
  };
  const all: Record<string, Tensor | null> = {
    "0.weight": f32([4, 6], 0.5),
    "0.bias": f32([4], 1),
    "1.weight": f32([4], 2),
    "1.bias": f32([4], 3),
    "1.running_mean": f32([4], 4),
    "1.running_var": f32([4], 5),
    "1.num_batches_tracked": { dtype: "I64", shape: [], data: longs(7) },
    "3.weight": f32([2, 4], 6),
    "3.bias": f32([2], 7),
    ...changes,
  };
  return Object.fromEntries(Object.entries(all).filter((entry): entry is [string, Tensor] => entry[1] !== null));
}

beforeAll(async () => {
  service = await startService();
  worker = await startProcess({ REDIS_URL: service.redis.url, DATA_DIR: service.directory });
  dataset = (await service.upload(csv)).id;
  parent = await trained(spec({ optimizer: { type: "adam", lr: 0.05 }, checkpoint: { keep_best: true } }));
});
afterAll(async () => {
  worker.kill("SIGKILL");
  await worker.exited;
  await service.stop();
});

test("weights are kept as they came, described, listed and deleted", async () => {
  const half = { dtype: "F16", shape: [2], data: Buffer.from([0, 0x3c, 0, 0xc0]) };
  const file = safetensors({
    ...stateDict(),
    extra: half,
    flags: { dtype: "BOOL", shape: [1], data: Buffer.alloc(1) },
  });
  const made = await upload(file, "?name=backbone");
  expect([made.status, made.headers.location]).toEqual([201, `/v1/weights/${made.body.id}`]);
  expect(made.body).toMatchObject({ name: "backbone", bytes: file.length });
  expect(made.body.id).toMatch(/^w_[0-9a-hjkmnp-tv-z]{26}$/);
  expect(made.body.tensors).toContainEqual({ name: "extra", dtype: "F16", shape: [2], taken_as: "F32" });
  expect(made.body.tensors).toContainEqual({ name: "flags", dtype: "BOOL", shape: [1], taken_as: null });
  const again = await upload(file);
  expect([again.status, again.body]).toEqual([200, made.body]);
  expect((await service.call("GET", `/v1/weights/${made.body.id}`)).body).toEqual(made.body);
  expect((await service.call("GET", "/v1/weights")).body.data).toEqual([made.body]);
  expect(Buffer.compare((await service.call("GET", `/v1/weights/${made.body.id}/content`)).body, file)).toBe(0);
  expect((await service.call("DELETE", `/v1/weights/${made.body.id}`)).status).toBe(204);
  expect((await service.call("GET", `/v1/weights/${made.body.id}`)).status).toBe(404);
  expect(service.onDisk().filter((name) => !/\.(csv|columns)$/.test(name))).toEqual([]);
});

test.each<[string, () => Buffer, RegExp]>([
  ["another format", () => Buffer.from("x,y\n1,2\n"), /no safetensors file/],
  ["a file that is cut off", () => safetensors(stateDict()).subarray(0, -3), /bytes of tensors, and its header says/],
  ["a file with more at its end", () => Buffer.concat([safetensors(stateDict()), Buffer.alloc(1)]), /bytes of tensors/],
  ["no tensors", () => safetensors({}), /holds no tensor/],
  ["an unknown type", () => safetensors({ a: { dtype: "F8", shape: [1], data: Buffer.alloc(1) } }), /"F8"/],
])("%s is refused as weights", async (_, file, why) => {
  const { status, body } = await upload(file());
  expect([status, body.code]).toEqual([422, "invalid_weights"]);
  expect(body.detail).toMatch(why);
  expect(service.onDisk().filter((name) => !/\.(csv|columns)$/.test(name))).toEqual([]);
});

test("weights beyond the limit are refused, and damaged ones are told and repaired by another upload", async () => {
  const large = { dtype: "F32", shape: [2 ** 18], data: Buffer.alloc(2 ** 20) };
  const refused = await upload(safetensors({ large }));
  expect([refused.status, refused.body.code]).toEqual([413, "too_large"]);
  const file = safetensors(stateDict({ "0.bias": { dtype: "F32", shape: [4], data: floats(9, 8, 7, 6) } }));
  const { body: weights } = await upload(file);
  const path = join(service.directory, `${weights.sha256}.weights`);
  writeFileSync(path, Buffer.concat([file.subarray(0, -1), Buffer.from([1])]));
  const init = { weights: weights.id };
  expect(faults(await post(spec({ init })))).toEqual([
    "/init/weights names weights whose file is damaged; upload it again",
  ]);
  const given = await service.call("GET", `/v1/weights/${weights.id}/content`);
  expect([given.status, given.body.detail]).toEqual([
    503,
    "The file of these weights is damaged. Upload the same bytes again: that repairs it.",
  ]);
  expect([(await upload(file)).status, (await post(spec({ init }), "?validate_only=true")).status]).toEqual([200, 200]);
  rmSync(path);
  expect((await service.call("GET", `/v1/weights/${weights.id}/content`)).status).toBeGreaterThanOrEqual(500);
  expect((await service.call("DELETE", `/v1/weights/${weights.id}`)).status).toBe(204);
});

test("a job begins with uploaded weights, which are not deleted before it has ended", async () => {
  const file = safetensors(stateDict());
  const { body: weights } = await upload(file);
  const busy = await service.create(spec({ training: { epochs: 100_000, batch_size: 4 } }));
  const waiting = await service.create(spec({ init: { weights: weights.id } }));
  const refused = await service.call("DELETE", `/v1/weights/${weights.id}`);
  expect([refused.status, refused.body.code]).toEqual([409, "weights_in_use"]);
  await service.call("POST", `/v1/jobs/${busy.id}/cancel`);
  const job = await until(waiting.id, ended);
  expect(job.spec.init).toMatchObject({ weights: weights.id, strict: true, map: {}, sha256: expect.any(String) });
  // At a rate of 0 only the statistics change.
  for (const name of ["0.weight", "0.bias", "1.weight", "1.bias", "3.weight", "3.bias"])
    expect(await weightsOf(job.id, name), name).toEqual(stateDict()[name].data);
  expect(await weightsOf(job.id, "1.num_batches_tracked")).toEqual(longs(7 + job.result!.steps));
  const [created] = (await service.call("GET", `/v1/jobs/${job.id}/events`)).body.data;
  expect(created.message).toBe(`Created. It begins with 9 tensors of ${weights.id}.`);
  expect((await service.call("DELETE", `/v1/weights/${weights.id}`)).status).toBe(204);
  expect((await service.redis.client().keys("*weights*")).length).toBe(0);
  expect(faults(await post(spec({ init: { weights: weights.id } })))).toEqual([
    "/init/weights names weights that do not exist",
  ]);
});

test("a job that learns nothing gives its weights back byte for byte", async () => {
  const sorted = Object.entries(stateDict()).sort(([a], [b]) => (a < b ? -1 : 1));
  const tensors = sorted.map(([name, { dtype, shape, data }]) => ({ name, dtype, shape, bytes: data }) as StateTensor);
  const file = Buffer.from(writeSafetensors(tensors, { format: "pt" }));
  const { body: weights } = await upload(file);
  const held = [{ parameters: "*", statistics: "eval" }];
  const job = await trained(spec({ init: { weights: weights.id }, parameter_groups: held }));
  const { body: model } = await service.call("GET", `/v1/jobs/${job.id}/model`);
  expect(Buffer.compare(model as Buffer, file)).toBe(0);
  expect(job.result!.weights_sha256).toBe(weights.sha256);
});

test("missing, unexpected and misshapen tensors are told together, or what fits is taken", async () => {
  const extra = { dtype: "F32", shape: [1], data: floats(1) };
  const wide = { dtype: "F32", shape: [3, 4], data: floats(...Array.from({ length: 12 }, (_, i) => i)) };
  const other = stateDict({ "0.bias": null, "3.weight": wide, "head.weight": extra });
  const { body: weights } = await upload(safetensors(other));
  const init = { weights: weights.id };
  expect(faults(await post(spec({ init })))).toEqual([
    "/init lacks 0.bias (F32, 4), which the model needs",
    '/init has head.weight (F32, 1), which the model lacks; "map" gives it another name, and "strict": false leaves it out',
    '/init has 3.weight (F32, 3 × 4), and the model\'s is 3.weight (F32, 2 × 4); with "strict": false that begins at random',
  ]);
  const job = await service.create(spec({ init: { ...init, strict: false } }));
  expect(job.warnings).toEqual([
    {
      pointer: "/init",
      code: "left_weights",
      message: 'does not use "head.weight", "3.weight", for which the model has no tensor of that shape',
    },
    { pointer: "/init", code: "random_weights", message: 'has nothing for "0.bias", "3.weight": they are random' },
  ]);
  const [created] = (await service.call("GET", `/v1/jobs/${job.id}/events`)).body.data;
  const told = { from: weights.id, taken: 7, left: ["head.weight", "3.weight"], random: ["0.bias", "3.weight"] };
  expect(created.data).toEqual({ init: told });
  await until(job.id, ended);
  expect(await weightsOf(job.id, "0.weight")).toEqual(other["0.weight"].data);
  // What is random is what a job without initial weights has.
  const plain = await trained(spec());
  for (const name of ["0.bias", "3.weight"])
    expect(await weightsOf(job.id, name)).toEqual(await weightsOf(plain.id, name));
});

test("names are mapped, also by their beginning, and other types are converted", async () => {
  const own = stateDict();
  const doubles = Buffer.from(new Float64Array([0.1, 1, 2, 3]).buffer);
  const halves = Buffer.from([0, 0x3c, 0, 0x40, 0, 0x42, 0, 0x44]);
  const brains = Buffer.from([0x80, 0x3f, 0, 0x40, 0x40, 0x40, 0x80, 0x40]);
  const { body: weights } = await upload(
    safetensors({
      "module.fc.weight": own["0.weight"],
      "module.fc.bias": { dtype: "F64", shape: [4], data: doubles },
      "module.norm.weight": { dtype: "F16", shape: [4], data: halves },
      "module.norm.bias": { dtype: "BF16", shape: [4], data: brains },
      "module.norm.running_mean": own["1.running_mean"],
      "module.norm.running_var": own["1.running_var"],
      "module.norm.num_batches_tracked": own["1.num_batches_tracked"],
      w: own["3.weight"],
      "3.bias": own["3.bias"],
    }),
  );
  const map = { "module.fc": "0", "module.norm.": "1.", w: "3.weight" };
  const job = await trained(spec({ init: { weights: weights.id, map } }));
  const converted =
    'converts "module.fc.bias", "module.norm.weight", "module.norm.bias" to float32, or counts to int64';
  expect(job.warnings).toEqual([{ pointer: "/init", code: "converted_weights", message: converted }]);
  expect(await weightsOf(job.id, "0.bias")).toEqual(floats(Math.fround(0.1), 1, 2, 3));
  expect(await weightsOf(job.id, "1.weight")).toEqual(floats(1, 2, 3, 4));
  expect(await weightsOf(job.id, "1.bias")).toEqual(floats(1, 2, 3, 4));
  const wrong = { ...map, "module.fc": "0", "modul.": "1.", "3.bias": "3.weight" };
  expect(faults(await post(spec({ init: { weights: weights.id, map: wrong } })))).toEqual(
    expect.arrayContaining([
      '/init/map has "modul.", with which no tensor there begins',
      "/init lacks 3.bias (F32, 2), which the model needs",
    ]),
  );
  const infinite = stateDict({ "0.bias": { dtype: "F32", shape: [4], data: floats(1, Number.NaN, 0, 0) } });
  const { body: bad } = await upload(safetensors(infinite));
  expect(faults(await post(spec({ init: { weights: bad.id } })))).toEqual([
    expect.stringMatching(
      /^\/init\/weights cannot be used: The array "0.bias" holds NaN at \[1\].*mend it, and upload/,
    ),
  ]);
  const large = Buffer.from(new Float64Array([0, 0, 1e300, 0]).buffer);
  const { body: wide } = await upload(safetensors(stateDict({ "0.bias": { dtype: "F64", shape: [4], data: large } })));
  expect(faults(await post(spec({ init: { weights: wide.id } })))).toEqual([
    expect.stringMatching(/"0.bias" holds 1e\+300 at \[2\], which is too large for float32.*mend it/),
  ]);
});

test("a file has a tied parameter under one name, or the same numbers under each", async () => {
  const square = (value: number): Tensor => {
    return { dtype: "F32", shape: [6, 6], data: floats(...Array.from({ length: 36 }, (_, i) => value + i)) };
  };
  const linear = { type: "linear", out_features: 6, bias: false };
  const model = { layers: [linear, { ...linear, tied_to: "0.weight" }, { type: "linear", bias: false }] };
  const head = { dtype: "F32", shape: [2, 6], data: floats(...Array.from({ length: 12 }, (_, i) => i)) };
  const begun = async (tensors: Record<string, Tensor>) => {
    const { body: weights } = await upload(safetensors({ ...tensors, "2.weight": head }));
    return await post(spec({ model, init: { weights: weights.id } }), "?validate_only=true");
  };
  const [one, both] = [
    await begun({ "1.weight": square(1) }),
    await begun({ "0.weight": square(1), "1.weight": square(1) }),
  ];
  expect([one.status, both.status]).toEqual([200, 200]);
  expect(both.body.spec.init.sha256).toBe(one.body.spec.init.sha256);
  expect(faults(await begun({ "0.weight": square(1), "1.weight": square(2) }))).toEqual([
    "/init/weights cannot be used: 0.weight and 1.weight hold different numbers, and the model has them as one, 0.weight: leave out tied_to",
  ]);
});

test("a job begins with another's weights at any checkpoint, and needs nothing of that job later", async () => {
  const init = { job: parent.id };
  const validated = await post(spec({ init }), "?validate_only=true");
  const busy = await service.create(spec({ training: { epochs: 100_000, batch_size: 4 } }));
  await until(busy.id, (job) => job.status === "running");
  const waiting = await service.create(spec({ init }));
  const best = await service.create(spec({ init: { ...init, step: "best" } }));
  expect(validated.body.spec).toEqual(waiting.spec);
  expect(waiting.spec).toMatchObject({ init: { ...init, step: "final" }, data: { encoders: "inherit" } });
  expect(waiting.parent).toBeNull();
  const dictionary = await model(parent.id);
  expect((await service.call("DELETE", `/v1/jobs/${parent.id}`)).status).toBe(204);
  await service.call("POST", `/v1/jobs/${busy.id}/cancel`);
  const job = await until(waiting.id, ended);
  for (const name of ["0.weight", "3.bias"])
    expect(await weightsOf(job.id, name)).toEqual(Buffer.from(readSafetensors(dictionary).tensors.get(name)!.bytes));
  expect((await until(best.id, ended)).status).toBe("succeeded");
  expect(faults(await post(spec({ init })))).toContainEqual(`/init/job names ${parent.id}, which does not exist`);

  // The same weights are the same spec, wherever they are from.
  const { body: weights } = await upload(dictionary);
  const uploaded = await trained(spec({ init: { weights: weights.id }, resources: { threads: 2 } }));
  expect([uploaded.spec_sha256, uploaded.result!.weights_sha256]).toEqual([
    job.spec_sha256,
    job.result!.weights_sha256,
  ]);
  expect(uploaded.spec_sha256).not.toBe((await service.create(spec())).spec_sha256);
  const other = { weights: weights.id, sha256: "0".repeat(64) };
  expect(faults(await post(spec({ init: other })))).toEqual([
    `/init/sha256 must be null or ${givenInit(job.spec)!.sha256}, the hash of what is taken`,
  ]);
  expect((await service.create(uploaded.spec)).spec_sha256).toBe(uploaded.spec_sha256);

  // A fork begins with its checkpoint.
  const fork = (overrides: object) =>
    service.call("POST", `/v1/jobs/${uploaded.id}/fork`, { body: { step: "final", overrides } });
  await service.call("DELETE", `/v1/weights/${weights.id}`);
  const unchanged = await fork({});
  expect([unchanged.status, unchanged.body.spec_sha256]).toEqual([201, uploaded.spec_sha256]);
  expect((await until(unchanged.body.id, ended)).result).toEqual(uploaded.result);
  expect(faults(await fork({ init }))).toContainEqual(
    "/overrides/init must be left out: a fork begins with its checkpoint",
  );
});
