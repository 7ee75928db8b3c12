// Forks that are refused.
import { expect, test } from "vitest";
import { ended } from "../worker/support.ts";
import { layers, MAX_BYTES, useForks } from "./forks.ts";

const forks = useForks();
const { post, spec, trained, until } = forks;

test("a fork is refused with all its faults, and with pointers into its body", async () => {
  const { parent, paused, steps } = await trained();
  const faults = async (body: unknown, id = paused) => {
    const { status, body: problem } = await post(id, body);
    expect([status, problem.code]).toEqual([422, "invalid_spec"]);
    return Object.fromEntries(
      problem.errors.map((fault: { pointer: string; message: string }) => [fault.pointer, fault.message]),
    );
  };
  const step = steps[0];
  const narrow = { layers: [{ type: "linear", out_features: 32 }, ...layers.slice(1)] };
  const { body } = await post(paused, { step, overrides: { model: narrow } });
  expect(body.errors).toEqual([
    { pointer: "/overrides/model", message: "makes 0.bias 32, but it is 256 in the checkpoint" },
    { pointer: "/overrides/model", message: "makes 0.weight 32 × 2, but it is 256 × 2 in the checkpoint" },
    { pointer: "/overrides/model", message: "makes 2.weight 256 × 32, but it is 256 × 256 in the checkpoint" },
  ]);
  const deeper = { layers: [...layers.slice(0, 4), layers[0], { type: "linear" }] };
  expect(Object.values(await faults({ step, optimizer: false, overrides: { model: deeper } })).join()).toMatch(
    /needs 5\./,
  );
  expect(await faults({ step, overrides: { data: { features: ["x"], encoders: "refit" } } })).toEqual({
    "/overrides/model/layers/0/in_features": expect.any(String),
  });
  expect(await faults({ step, overrides: { optimizer: { type: "sgd" } } })).toEqual({
    "/optimizer": expect.stringContaining("must be false: the state of sgd is not the one in the checkpoint"),
  });
  expect(await faults({ step: 13, overrides: { training: { epochs: 0 }, optimizer: { type: "Adam" } } })).toEqual({
    "/step": expect.stringContaining("has no checkpoint"),
    "/overrides/training/epochs": expect.any(String),
    "/overrides/optimizer/type": expect.any(String),
  });
  expect(await faults({ step, overrides: { training: { epochs: 2 } } })).toEqual({
    "/overrides/training/epochs": `must leave steps to take: the checkpoint is at step ${step}, and these epochs make 60 steps`,
  });
  expect(await faults({ step, overrides: { training: { epochs: step, batch_size: "full" } } })).toEqual({
    "/overrides/training/epochs": `must leave steps to take: the checkpoint is at step ${step}, and these epochs make ${step} steps`,
  });
  expect(await faults({ step: "best", optimizer: true })).toEqual({ "/optimizer": expect.any(String) });
  expect(await faults({ step: "first", overides: {} })).toEqual({
    "/step": expect.any(String),
    "/overides": expect.stringContaining('did you mean "overrides"'),
  });
  expect(await faults({})).toEqual({ "/step": expect.any(String) });
  expect(await faults({ step, overrides: [] })).toEqual({ "/overrides": expect.any(String) });
  expect(await faults({ step: 100 }, parent.id)).toEqual({ "/step": expect.stringContaining("has no checkpoint") });

  const queued = await forks.service.create(spec({ checkpoint: {} }));
  expect(Object.keys(await faults({ step: "best" }, queued.id))).toEqual(["/step"]);
  // What it writes while it runs would be among the keys below.
  await forks.service.call("POST", `/v1/jobs/${queued.id}/cancel`);
  await until(queued.id, ended);
  const early = await post(paused, { step: "final" });
  expect([early.status, early.body.code, early.body.current_status]).toEqual([409, "wrong_status", "paused"]);
  expect((await post("job_01k3w9d0c8v6m2q4r7t5x1y9za", { step: 1 })).status).toBe(404);
  const empty = await post(paused, undefined);
  expect([empty.status, empty.body.code]).toEqual([400, "malformed_json"]);
  const deep = `{"step":${step},"overrides":${'{"model":'.repeat(50_000)}1${"}".repeat(50_000)}}`;
  const json = { "content-type": "application/json" };
  expect((await forks.service.call("POST", `/v1/jobs/${paused}/fork`, { body: deep, headers: json })).status).toBe(422);

  // A store that is full to the last kilobyte, without the dropped files of jobs that have ended:
  // refused before anything is copied, however often it is tried.
  const usage = () => forks.redis.hgetall("{rappel}:owner:default:usage");
  const [before, counted, { promised, loose }] = [
    // The turn of the reconcilers comes and goes.
    ["{rappel}:reconciler", ...(await forks.redis.keys("*"))],
    await usage(),
    await forks.redis.hgetall("{rappel}:room"),
  ];
  const used = Number(/used_memory:(\d+)/.exec(await forks.redis.info("memory"))![1]);
  await forks.redis.config("SET", "maxmemory", Math.round((used - Number(loose ?? 0) + Number(promised)) / 0.7));
  for (let i = 0; i < 3; i++) {
    const full = await post(paused, { step });
    expect([full.status, full.body.code, full.headers["retry-after"]]).toEqual([503, "unavailable", "30"]);
    expect(full.body.detail).toMatch(/^The store is full: this may need \d+ bytes in the store, and \d+ are free\./);
  }
  await forks.redis.config("SET", "maxmemory", MAX_BYTES);
  expect((await forks.redis.keys("*")).filter((key) => !before.includes(key))).toEqual([]);
  expect(await usage()).toEqual(counted);
});

test("a fork of a job that is deleted meanwhile says so", async () => {
  const { id } = await forks.service.create(spec({ training: { epochs: 1, batch_size: 8 } }));
  await until(id, ended);
  const { jobs } = forks.service.store;
  const find = jobs.checkpointHead.bind(jobs);
  jobs.checkpointHead = async (...given) => {
    await forks.service.call("DELETE", `/v1/jobs/${id}`);
    return await find(...given);
  };
  const { status, body } = await post(id, { step: "final" });
  jobs.checkpointHead = find;
  expect(status).toBe(422);
  expect(body.errors[0]).toEqual({ pointer: "/step", message: "has no checkpoint: the job was deleted meanwhile" });
});
