// Forks of jobs that a real worker trains: what they begin with and how they end.
import { expect, test } from "vitest";
import { ended } from "../worker/support.ts";
import { STEPS_PER_EPOCH, training, useForks } from "./forks.ts";

const forks = useForks();
const { fork, post, series, spec, trained, until } = forks;

test("an unchanged fork ends as its parent does, from any step, even if the parent is deleted by then", async () => {
  const { parent, paused, steps } = await trained();
  expect(parent.parent).toBeNull();
  expect(steps.length).toBeGreaterThanOrEqual(3);
  const all = (await series(parent.id)).train_loss.steps as number[];
  // So that the forks wait.
  const busy = await forks.service.create(spec({ training: { ...training, epochs: 400 } }));
  await until(busy.id, (job) => job.status === "running");
  const children = await Promise.all(
    [...steps, "final"].map((step) => fork(step === "final" ? parent.id : paused, { step })),
  );
  for (const id of [paused, busy.id]) await forks.service.call("POST", `/v1/jobs/${id}/cancel`);
  await until(busy.id, ended);
  for (const id of [paused, parent.id]) expect((await forks.service.call("DELETE", `/v1/jobs/${id}`)).status).toBe(204);

  for (const [i, { id, spec, progress, parent: from }] of children.entries()) {
    const step = steps[i] ?? parent.result!.steps;
    expect(spec).toEqual({ ...parent.spec, data: { ...parent.spec.data, encoders: "inherit" } });
    expect(from).toEqual({ job_id: step === parent.result!.steps ? parent.id : paused, step });
    expect(progress).toMatchObject({ step, last_checkpoint_step: null, total_steps: parent.progress.total_steps });
    expect(progress.valid_loss).toEqual(expect.any(Number));
    expect(progress.valid_loss).toBe(progress.metrics.valid_loss);
    const job = await until(id, ended);
    expect(job).toMatchObject({ status: "succeeded", run: 1, parent: from, result: parent.result });
    const { steps: logged = [] } = (await series(id)).train_loss ?? {};
    expect(logged).toEqual(all.filter((at) => at > step));
    const [created] = (await forks.service.call("GET", `/v1/jobs/${id}/events`)).body.data;
    expect(created.message).toBe(`Forked from step ${step} of ${from!.job_id}.`);
  }
  // The copy goes once the fork has two checkpoints of its own.
  const origins = await forks.redis.keys("*:chunk:origin:*");
  expect(origins.length).toBeGreaterThan(0);
  for (const key of origins) expect(await forks.redis.ttl(key)).toBeGreaterThan(0);
  const [last] = children;
  await forks.service.call("DELETE", `/v1/jobs/${last.id}`);
  expect(await forks.redis.keys(`*${last.id}*`)).toEqual([]);
});

test("a fork that is given more epochs goes on from the end, as if it had had them from the beginning", async () => {
  const { id } = await forks.service.create(spec());
  const parent = await until(id, ended);
  const longer = { ...training, epochs: 75 };
  const straight = await forks.service.create(spec({ training: longer }));
  const forked = await fork(parent.id, { step: "final", overrides: { training: { epochs: 75 } } });
  const [a, b] = [await until(straight.id, ended), await until(forked.id, ended)];
  expect(b.result!.weights_sha256).toBe(a.result!.weights_sha256);
  expect(b.result!.best).toEqual(a.result!.best);
  expect(b.result!.weights_sha256).not.toBe(parent.result!.weights_sha256);
});

test("defaults that depend on the number of steps use the fork's number", async () => {
  const derived = { detectors: { diverging: { policy: "rewind" } } };
  const { id } = await forks.service.create(spec(derived));
  await until(id, ended);
  const longer = await forks.service.create(spec({ ...derived, training: { ...training, epochs: 4000 } }));
  const { spec: forked } = await fork(id, { step: "final", overrides: { training: { epochs: 4000 } } });
  expect(forked).toEqual({ ...longer.spec, data: { ...longer.spec.data, encoders: "inherit" } });
  expect(forked.training.log_every_steps).toBe(120);
});

test("without the optimizer's state a fork begins at step 0 with the weights", async () => {
  const { id } = await forks.service.create(spec());
  const parent = await until(id, ended);
  const best = (await forks.service.call("GET", `/v1/jobs/${id}/model?which=best`)).headers.etag;
  const still = { optimizer: { type: "sgd", lr: 0 }, training: { epochs: 2 } };
  const fromFinal = await fork(id, { step: "final", optimizer: false, overrides: still });
  const fromBest = await fork(id, { step: "best", overrides: still });
  expect([fromFinal.parent!.step, fromBest.parent!.step]).toEqual([parent.result!.steps, parent.result!.best!.step]);
  for (const { progress } of [fromFinal, fromBest]) expect(progress.step).toBe(0);
  // At a rate of 0 they stay what they are.
  const final = await until(fromFinal.id, ended);
  expect(final.result).toMatchObject({ weights_sha256: parent.result!.weights_sha256, epochs: 2 });
  expect(`"${(await until(fromBest.id, ended)).result!.weights_sha256}"`).toBe(best);
});

test("a fork that is killed before its first checkpoint begins again where it began", async () => {
  const { parent, paused, steps } = await trained();
  forks.worker.kill("SIGKILL");
  await forks.worker.exited;
  const { id } = await fork(paused, { step: steps.at(-1) });
  const other = await fork(paused, { step: steps.at(-1), optimizer: false });
  forks.worker = await forks.startWorker({ RAPPEL_CRASH_AT: "before-commit" });
  expect(await forks.worker.exited).toBe("SIGKILL");
  forks.worker = await forks.startWorker();
  expect(await until(id, ended)).toMatchObject({ status: "succeeded", run: 2, result: parent.result });
  expect((await until(other.id, ended)).status).toBe("succeeded");
});

test("a rule that ended a job early also ends its fork, unless the fork drops the rule", async () => {
  const rule = { ...training, epochs: 120, early_stopping: { patience: 2 } };
  const { id } = await forks.service.create(spec({ training: rule, optimizer: { type: "adam", lr: 0.02 } }));
  const parent = await until(id, ended);
  expect(parent.result!.stop_reason).toBe("early_stopping");
  const same = await fork(id, { step: "final" });
  expect((await until(same.id, ended)).result).toEqual(parent.result);
  const free = await fork(id, { step: "final", overrides: { training: { early_stopping: null } } });
  const { result } = await until(free.id, ended);
  expect(result).toMatchObject({ stop_reason: "completed", epochs: 120 });
});

test("a fork of a pruned job that drops its rungs ends as a job without them does", async () => {
  const plain = await until((await forks.service.create(spec())).id, ended);
  const pruning = { rungs: [{ epoch: 2, value: 1e-9 }] };
  const { id } = await forks.service.create(spec({ training: { ...training, pruning } }));
  const pruned = await until(id, ended);
  expect(pruned).toMatchObject({ status: "succeeded", result: { stop_reason: "pruned", epochs: 2 } });
  const same = await fork(id, { step: "final" });
  expect((await until(same.id, ended)).result).toEqual(pruned.result);
  const free = await fork(id, { step: "final", overrides: { training: { pruning: null } } });
  const { result } = await until(free.id, ended);
  expect(result).toMatchObject({ stop_reason: "completed", weights_sha256: plain.result!.weights_sha256 });
});

test("a fork can begin to keep the best weights, or stop", async () => {
  const { parent, paused, steps } = await trained({
    checkpoint: { every_steps: 100, every_seconds: null, keep_last: 100 },
  });
  const keeping = await fork(paused, { step: steps[0], overrides: { checkpoint: { keep_best: true } } });
  const kept = await until(keeping.id, ended);
  expect(kept.result!.weights_sha256).toBe(parent.result!.weights_sha256);
  expect((await forks.service.call("GET", `/v1/jobs/${keeping.id}/model?which=best`)).status).toBe(200);
  // What was best before is not known any more: an evaluation that is no better is the fork's best.
  const still = { checkpoint: { keep_best: true }, optimizer: { lr: 0 } };
  const step = steps.find((each) => each % STEPS_PER_EPOCH === 0) ?? steps[0];
  const standing = await until((await fork(paused, { step, overrides: still })).id, ended);
  expect(standing.result!.best!.step).toBeGreaterThan(step);
  const dropping = await fork(keeping.id, { step: "final", overrides: { checkpoint: { keep_best: false } } });
  expect((await until(dropping.id, ended)).result!.weights_sha256).toBe(parent.result!.weights_sha256);
});

test("a fork can continue averages, end them, or begin new ones", async () => {
  const averaging = { type: "ema", decay: 0.99 };
  const { parent, paused, steps } = await trained({ training: { ...training, averaging } });
  const step = steps.at(-1)!;
  const of = async (averaging: unknown) => {
    const { id } = await fork(paused, { step, overrides: { training: { averaging } } });
    return (await until(id, ended)).result!.weights_sha256;
  };
  expect(await of({})).toBe(parent.result!.weights_sha256);
  const straight = await forks.service.create(spec());
  expect(await of(null)).toBe((await until(straight.id, ended)).result!.weights_sha256);
  const later = { type: "swa", start_step: step };
  const other = await forks.service.create(spec({ training: { ...training, averaging: later } }));
  expect(await of(later)).toBe((await until(other.id, ended)).result!.weights_sha256);

  const { status, body } = await post(paused, { step, overrides: { training: { averaging: { decay: 0.9 } } } });
  expect(status).toBe(422);
  expect(body.errors).toEqual([
    {
      pointer: "/overrides/training/averaging/start_step",
      message: `must be at least ${step}, the step of the checkpoint: averages that it does not have can only begin after it`,
    },
  ]);
  expect(
    (await post(paused, { step, optimizer: false, overrides: { training: { averaging: { decay: 0.9 } } } })).status,
  ).toBe(201);
});

test("an idempotency key returns the first fork again, and is bound to its parent and body", async () => {
  const { id } = await forks.service.create(spec());
  const { id: twin } = await forks.service.create(spec());
  for (const job of [id, twin]) await until(job, ended);
  const headers = { "idempotency-key": "a fork" };
  const first = await post(id, { step: "final" }, headers);
  await forks.service.call("DELETE", `/v1/jobs/${id}`);
  const again = await post(id, { step: "final" }, headers);
  expect([again.status, again.body.id, again.headers["idempotency-replayed"]]).toEqual([201, first.body.id, "true"]);
  for (const other of [await post(twin, { step: "final" }, headers), await post(id, { step: 1 }, headers)]) {
    expect([other.status, other.body.code]).toEqual([422, "idempotency_mismatch"]);
  }
});

test("a fork of trained weights is not diagnosed as one that learns nothing", async () => {
  const small = {
    data: {
      synthetic: { type: "two_moons", rows: 400, noise: 0.3, seed: 1 },
      target: "target",
      validation: { every: 5 },
    },
    model: { layers: [{ type: "linear", out_features: 8 }, { type: "relu" }, { type: "linear" }] },
    optimizer: { type: "adam", lr: 0.01 },
    training: { epochs: 60, batch_size: 32, seed: 1 },
  };
  const { id: parent } = await forks.service.create(spec(small));
  await until(parent, ended);
  const stuck = async (body: object) => {
    const { id } = await fork(parent, body);
    expect((await until(id, ended)).status).toBe("succeeded");
    return (await forks.service.call("GET", `/v1/jobs/${id}/diagnosis`)).body.detectors.plateau;
  };
  expect(await stuck({ step: "final", overrides: { training: { epochs: 80 } } })).toBe("quiet");
  const other = { overrides: { training: { epochs: 80 }, data: { synthetic: { seed: 2 } } } };
  expect(await stuck({ step: "final", ...other })).toBe("quiet");
  expect(await stuck({ step: "best", overrides: { training: { epochs: 20 } } })).toBe("quiet");
});

test("final weights are tested once, and a changed fork is tested again with its own warnings", async () => {
  const short = { ...training, epochs: 4 };
  const data = { dataset: forks.dataset, target: "label", validation: { every: 5 }, test: { tail: 0.2 } };
  const { id } = await forks.service.create(spec({ data, training: short }));
  const parent = await until(id, ended);
  const { metrics } = parent.result!;
  expect(metrics).toMatchObject({ valid_accuracy: expect.any(Number), test_accuracy: expect.any(Number) });
  expect(parent.warnings).toEqual([]);
  // The course of a job is not tested.
  expect(Object.keys(await series(id)).filter((name) => name.startsWith("test_"))).toEqual([]);
  expect((await until((await fork(id, { step: "final" })).id, ended)).result!.metrics).toEqual(metrics);

  // Nor is one of another course that an earlier version recorded, without options that are new.
  const { exclude, columns, ...older } = parent.spec.data;
  expect([exclude, columns]).toEqual([[], {}]);
  const record = `{rappel}:owner:default:job:${id}`;
  await forks.redis.hset(record, "spec", JSON.stringify({ ...parent.spec, data: older }));
  const unchanged = await fork(id, { step: "final" });
  await forks.redis.hset(record, "spec", JSON.stringify(parent.spec));
  expect((await until(unchanged.id, ended)).result!.metrics).toEqual(metrics);

  // Without a test of its own it has no metrics of one. Of 300 rows each third is an emu.
  const untrained = { data: { test: null, validation: { every: null, column: "emu" }, columns: { x: "numeric" } } };
  const marked = Array.from(
    { length: 300 },
    (_, i) => `${Math.sin(i)},${(i * 7) % 11},${["cat", "dog", "emu"][i % 3]},${Number(i % 3 === 2)}`,
  );
  const { id: other } = await forks.service.upload(["x,y,label,emu", ...marked].join("\n"));
  const overrides = { ...untrained, data: { ...untrained.data, dataset: other }, training: { epochs: 6 } };
  const forked = await fork(id, { step: "final", overrides });
  const message = 'leaves the class "emu" of "label" without a row to train on';
  expect(forked.warnings).toEqual([{ pointer: "/data/validation", code: "untrained_class", message }]);
  const { result } = await until(forked.id, ended);
  expect(Object.keys(result!.metrics).filter((name) => name.startsWith("test_"))).toEqual([]);
  const again = await fork(id, {
    step: "final",
    overrides: { data: { test: { tail: 0.1 } }, training: { epochs: 6 } },
  });
  const retested = (await until(again.id, ended)).result!.metrics;
  expect(retested.test_loss).not.toBe(metrics.test_loss);

  // A fork that evaluates nothing keeps no metrics of its parent's test either.
  const unmeasured = {
    data: { test: null, validation: null },
    training: { epochs: 6 },
    checkpoint: { keep_best: false },
  };
  const blind = await fork(id, { step: "final", overrides: unmeasured });
  const { metrics: measured } = (await until(blind.id, ended)).result!;
  expect(Object.keys(measured).filter((name) => name.startsWith("test_"))).toEqual([]);
});
