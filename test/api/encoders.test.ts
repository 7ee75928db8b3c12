// Jobs that take over the encoders of another, which a real worker trains.
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Job } from "../../src/contract/wire/job.ts";
import type { ModelDescription } from "../../src/contract/wire/model.ts";
import { ended, startProcess, type WorkerProcess } from "../worker/support.ts";
import { startService, type Service } from "./service.ts";

let service: Service;
let worker: WorkerProcess;
let parent: Job;
let described: ModelDescription;
let other: string;

/** `scale` moves x; the kinds are drawn from `kinds`. */
function table(scale: number, kinds: readonly string[], labels: readonly string[] = ["no", "yes"]): string {
  const rows = Array.from({ length: 60 }, (_, i) => {
    const x = ((i * 7) % 13) - 6;
    return `${x * scale},${kinds[i % kinds.length]},${labels[x > 0 ? 1 : 0]}`;
  });
  return ["x,kind,label", ...rows].join("\n");
}

const upload = async (csv: string) => (await service.upload(csv)).id;

const spec = (data: object, changes: object = {}) => ({
  data: { target: "label", validation: { every: 4 }, ...data },
  model: { layers: [{ type: "linear", out_features: 4 }, { type: "relu" }, { type: "linear" }] },
  loss: { type: "cross_entropy" },
  optimizer: { type: "adam", lr: 0.01 },
  training: { epochs: 3, batch_size: 8 },
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
const fork = (id: string, data: object, rest: object = {}) =>
  service.call("POST", `/v1/jobs/${id}/fork`, {
    body: { step: "final", optimizer: false, overrides: { data }, ...rest },
  });
const description = async (id: string) =>
  (await service.call("GET", `/v1/jobs/${id}/model/description`)).body as ModelDescription;
const faults = ({ status, body }: Awaited<ReturnType<Service["call"]>>) => {
  expect([status, body.code]).toEqual([422, "invalid_spec"]);
  return Object.fromEntries(body.errors.map(({ pointer, message }: Record<string, string>) => [pointer, message]));
};

beforeAll(async () => {
  service = await startService();
  worker = await startProcess({ REDIS_URL: service.redis.url, DATA_DIR: service.directory });
  parent = await trained(spec({ dataset: await upload(table(1, ["a", "b", "c"])) }));
  described = await description(parent.id);
  other = await upload(table(100, ["b", "a", "c"]));
});
afterAll(async () => {
  worker.kill("SIGKILL");
  await worker.exited;
  await service.stop();
});

test("a fork on other data keeps the encoders, and tells what is far off", async () => {
  const { status, body } = await fork(parent.id, { dataset: other });
  expect(status, JSON.stringify(body)).toBe(201);
  expect(body.spec.data).toMatchObject({
    encoders: "inherit",
    encoders_sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
  });
  const message = `are those of ${parent.id}, and "x" goes from -600 to 600, where it was between -6 and 6 there`;
  expect(body.warnings).toEqual([{ pointer: "/data/encoders", code: "far_range", message }]);
  const [created] = (await service.call("GET", `/v1/jobs/${body.id}/events`)).body.data;
  expect(created.message).toBe(
    `Forked from step ${parent.result!.steps} of ${parent.id}. The encoders are those of ${parent.id}.`,
  );
  const ranges = [{ column: "x", min: -600, max: 600, before: "between -6 and 6" }];
  expect(created.data).toEqual({ encoders: { job: parent.id, classes: [], ranges } });
  await until(body.id, ended);
  const child = await description(body.id);
  expect([child.inputs, child.target]).toEqual([described.inputs, described.target]);

  // A fork of that fork has them too, and what is fitted again is something else.
  const again = (await fork(body.id, { validation: { every: 5 } })).body as Job;
  expect(again.spec.data.encoders_sha256).toBe(body.spec.data.encoders_sha256);
  const refit = (await fork(parent.id, { dataset: other, encoders: "refit" })).body as Job;
  expect([refit.spec.data.encoders, refit.spec.data.encoders_sha256, refit.warnings]).toEqual(["refit", null, []]);
  expect(refit.spec_sha256).not.toBe(body.spec_sha256);
  await until(refit.id, ended);
  expect((await description(refit.id)).inputs).not.toEqual(described.inputs);
});

test("a class that the encoders do not know is refused by name, or encoded as zeros", async () => {
  const dataset = await upload(table(1, ["a", "dodo", "emu"]));
  const unseen = `must be "zeros", because "kind" has "dodo", "emu", which the encoders of ${parent.id} do not know; or "encoders": "refit" in the data fits new ones`;
  expect(faults(await fork(parent.id, { dataset }))).toEqual({ "/overrides/data/unseen": unseen });
  const { body } = await fork(parent.id, { dataset, unseen: "zeros" });
  const message = `encodes "dodo", "emu" of "kind" as zeros, which the encoders of ${parent.id} do not know`;
  expect(body.warnings).toEqual([{ pointer: "/data/unseen", code: "unseen_class", message }]);
  const [created] = (await service.call("GET", `/v1/jobs/${body.id}/events`)).body.data;
  expect(created.data.encoders.classes).toEqual([{ column: "kind", classes: ["dodo", "emu"] }]);
  expect((await until(body.id, ended)).status).toBe("succeeded");

  // A class of the target has no output.
  const labelled = await upload(table(1, ["a", "b"], ["no", "maybe"]));
  const target = `names "label", which has "maybe", which the encoders of ${parent.id} do not know; "encoders": "refit" in the data fits new ones`;
  expect(faults(await fork(parent.id, { dataset: labelled, unseen: "zeros" }))).toEqual({
    "/overrides/data/target": target,
  });
});

test("inherited encoders determine features, shape and preprocess, and need their columns", async () => {
  const { id } = parent;
  const message = `must be left out: the encoders of ${id} determine it; "encoders": "refit" in the data fits new ones`;
  const changed = { features: ["x"], shape: [1], preprocess: { numeric: "min_max" } };
  for (const [name, value] of Object.entries(changed))
    expect(faults(await fork(id, { [name]: value }))).toMatchObject({ [`/overrides/data/${name}`]: message });
  const same = { features: ["x", "kind"], preprocess: { numeric: "standardize" } };
  expect((await fork(id, { dataset: other, ...same })).status).toBe(201);

  const without = await upload(table(1, ["a"]).replace("kind", "sort"));
  expect(faults(await fork(id, { dataset: without }))).toMatchObject({
    "/overrides/data/encoders": 'takes "kind", which the dataset lacks',
  });
  // The remedy is one that a fork can take.
  const holes = await upload(`${table(1, ["a", "b"])}\n,a,yes`);
  expect(faults(await fork(id, { dataset: holes }))).toEqual({
    "/overrides/data/features/0": expect.stringMatching(
      /missing in 1 of 61 rows; the encoders are inherited, .*"refit"/,
    ),
  });
  // Numbers that are classes to the encoders are taken as classes.
  const numbers = await upload(table(1, ["1", "2"]));
  expect(faults(await fork(id, { dataset: numbers }))).toEqual({
    "/overrides/data/unseen": expect.stringContaining('"kind" has "1", "2"'),
  });
  expect(
    faults(await service.call("POST", "/v1/jobs", { body: spec({ dataset: other, encoders: "inherit" }) })),
  ).toEqual({
    "/data/encoders": 'must be "refit" or {"job": "job_…"}: there is no other job whose encoders could be inherited',
  });
});

test("any job may name another for its encoders; what they are is part of its identity, not where they come from", async () => {
  const of = async (id: string, threads = 1) =>
    await trained(spec({ dataset: other, encoders: { job: id } }, { resources: { threads } }));
  const first = await of(parent.id);
  const second = await of(first.id, 2);
  const third = await of(first.id, 5);
  const results = [first, second, third].map(({ spec_sha256, result }) => [spec_sha256, result!.weights_sha256]);
  expect(new Set(results.map(String)).size).toBe(1);
  const plain = await trained(spec({ dataset: other }));
  expect(plain.result!.weights_sha256).not.toBe(first.result!.weights_sha256);

  // The same data give the same encoders anyway.
  const { dataset } = parent.spec.data;
  const same = await service.create(spec({ dataset, encoders: { job: parent.id } }));
  expect([same.spec_sha256, same.spec.data.encoders_sha256]).toEqual([parent.spec_sha256, null]);
  const nobody = `job_${"0".repeat(26)}`;
  const body = spec({ dataset: other, encoders: { job: nobody } });
  expect(faults(await service.call("POST", "/v1/jobs", { body }))).toEqual({
    "/data/encoders": `names ${nobody}, which does not exist`,
  });
  const resolved = { ...first.spec, data: { ...first.spec.data, encoders_sha256: "0".repeat(64) } };
  expect(faults(await service.call("POST", "/v1/jobs", { body: resolved }))).toEqual({
    "/data/encoders_sha256": expect.stringContaining(first.spec.data.encoders_sha256!),
  });
  expect((await service.create(first.spec)).spec_sha256).toBe(first.spec_sha256);
});

test("encoders of a job without a model are those that its data give, as long as these are there", async () => {
  const dataset = await upload(table(2, ["a", "b", "c"]));
  const { id } = await service.create(spec({ dataset }, { training: { epochs: 100_000, batch_size: 8 } }));
  await service.call("POST", `/v1/jobs/${id}/cancel`);
  await until(id, ended);
  const body = spec({ dataset: other, encoders: { job: id } });
  const early = await service.create(body);
  const complete = await trained(spec({ dataset }));
  const late = await service.create(spec({ dataset: other, encoders: { job: complete.id } }));
  expect(late.spec.data.encoders_sha256).toBe(early.spec.data.encoders_sha256);
  await service.call("DELETE", `/v1/datasets/${dataset}`);
  expect(faults(await service.call("POST", "/v1/jobs", { body }))).toEqual({
    "/data/encoders": `names ${id}, which has no model, and whose dataset was deleted; "refit" fits new encoders`,
  });
});
