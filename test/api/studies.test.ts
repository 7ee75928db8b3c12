/** Studies over HTTP. Their jobs are ended by a worker without arithmetic, in any order. */
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { keys } from "../../src/store/keys.ts";
import type { Study } from "../../src/contract/wire/study.ts";
import { csv, specFor, startService, type Service } from "./service.ts";
import { endJobs, orders, over, read, study, trialsOf, until, withoutJobs } from "./studies.ts";

let service: Service;
let dataset: string;
beforeAll(async () => {
  service = await startService();
  dataset = (await service.upload(csv)).id;
});
afterAll(() => service.stop());

let stop = new AbortController();
let working: Promise<void> = Promise.resolve();
function work(order: keyof typeof orders = "oldest first"): void {
  stop = new AbortController();
  working = endJobs(service, orders[order], stop.signal);
}
async function rest(): Promise<void> {
  stop.abort();
  await working;
}
afterEach(rest);

const space = {
  "/optimizer": { choice: [{ type: "sgd", lr: 0.1 }, { type: "adam" }] },
  "/optimizer/lr": { log_uniform: [1e-4, 2] },
  "/optimizer/momentum": { uniform: [0, 0.99], when: { "/optimizer/type": ["sgd"] } },
};
const asked = (changes: object = {}) => ({ spec: specFor(dataset), space, trials: 12, parallel: 4, ...changes });

test("a study ends with the best trial, and its trials are jobs", async () => {
  work();
  const created = await study(service, asked({ name: "first", seeds: 2 }));
  expect(created).toMatchObject({ name: "first", status: "running", trials_sha256: null, direction: "minimize" });
  const ended = await over(service, created.id);
  expect(ended).toMatchObject({ status: "succeeded", trials: { total: 12, ended: 12, pruned: 0 } });
  const trials = await trialsOf(service, created.id);
  expect(trials.map(({ number }) => number)).toEqual(Array.from({ length: 12 }, (_, i) => i));
  const values = trials.flatMap(({ value }) => (value === null ? [] : [value]));
  expect(ended.best!.value).toBe(Math.min(...values));
  expect(trials[ended.best!.trial]).toMatchObject({ value: ended.best!.value, values: ended.best!.values });
  for (const { number, jobs, values, value } of trials) {
    const [one, other] = await Promise.all(jobs.map((id) => service.store.jobs.get("default", id)));
    expect(one!.metadata).toEqual({ study: created.id, trial: String(number) });
    expect([one!, other!].map(({ spec }) => spec.training.seed)).toEqual([0, 1]);
    expect(one!.spec.optimizer).toMatchObject({ ...(values["/optimizer"] as object), lr: values["/optimizer/lr"] });
    const losses = [one!, other!].map(({ result }) => result?.metrics.valid_loss ?? null);
    if (value !== null) expect(value).toBe((losses[0]! + losses[1]!) / 2);
    const type = (values["/optimizer"] as { type: string }).type;
    expect("/optimizer/momentum" in values).toBe(type === "sgd");
  }
  const { body } = await service.call("GET", `/v1/studies/${created.id}/importance`);
  expect(body).toMatchObject({ method: "epsilon_squared", trials: 12 });
  expect(Object.keys(body.importance).toSorted()).toEqual(Object.keys(space));
});

describe("the same study", () => {
  const same = { trials: 30, parallel: 6, pruner: { type: "asha" }, seed: 3 };
  const of = async (changes: object = {}) => {
    const spec = specFor(dataset, { training: { epochs: 9, batch_size: 4 } });
    const ended = await over(service, (await study(service, asked({ ...same, spec, ...changes }))).id);
    await rest();
    return { ended, trials: await trialsOf(service, ended.id) };
  };

  test("has the same trials and winner in whatever order its jobs end", async () => {
    const found = [];
    for (const order of Object.keys(orders) as (keyof typeof orders)[]) {
      work(order);
      found.push(await of());
    }
    const [first] = found;
    expect(first.ended.trials_sha256).toMatch(/^[0-9a-f]{64}$/);
    const statuses = first.trials.map(({ status }) => status);
    for (const status of ["succeeded", "pruned", "failed"]) expect(statuses).toContain(status);
    for (const { ended, trials } of found) {
      expect(ended.trials_sha256).toBe(first.ended.trials_sha256);
      expect(ended.best).toMatchObject({ trial: first.ended.best!.trial, value: first.ended.best!.value });
      expect(withoutJobs(trials)).toEqual(withoutJobs(first.trials));
    }
    work();
    const { ended } = await of({ seed: 4 });
    expect(ended.trials_sha256).not.toBe(first.ended.trials_sha256);
  });

  test.each(["random", "sobol", "grid", "cma_es"])("also with %s", async (type) => {
    const rate = { "/optimizer/lr": space["/optimizer/lr"] };
    const changes = {
      sampler: { type },
      trials: type === "grid" ? null : 20,
      ...(type === "cma_es" && { space: rate }),
    };
    work("oldest first");
    const one = await of(changes);
    work("newest first");
    const other = await of(changes);
    expect(one.ended.trials.total).toBe(type === "grid" ? 30 : 20);
    expect(other.ended.trials_sha256).toBe(one.ended.trials_sha256);
  });
});

test("a study that is paused again and again has the same trials", async () => {
  work("newest first");
  const wanted = (await over(service, (await study(service, asked({ seeds: 2 }))).id)).trials_sha256;
  const { id } = await study(service, asked({ seeds: 2 }));
  const post = (action: string) => service.call("POST", `/v1/studies/${id}/${action}`);
  const pausing = async (): Promise<void> => {
    if ((await post("pause")).status === 409) return;
    await post("resume");
    await pausing();
  };
  const [ended] = await Promise.all([over(service, id), pausing()]);
  expect(ended).toMatchObject({ status: "succeeded", trials_sha256: wanted });
});

const extend = (id: string, total: unknown) => service.call("POST", `/v1/studies/${id}/trials`, { body: { total } });

describe("a study that is given more trials", () => {
  test.each(["tpe", "sobol", "grid", "cma_es"])("is the one that had so many from the start: %s", async (type) => {
    // Generations of seven: the first study ends within one.
    const sampler = type === "cma_es" ? { type, population: 7 } : { type };
    const searched = type === "cma_es" ? { "/optimizer/lr": space["/optimizer/lr"] } : space;
    const spec = specFor(dataset, { training: { epochs: 9, batch_size: 4 } });
    const more = { spec, space: searched, sampler, pruner: { type: type === "sobol" ? "hyperband" : "asha" } };
    work("newest first");
    const { id } = await study(service, asked({ ...more, trials: 10, parallel: 4 }));
    const short = await over(service, id);
    const { status, body } = await extend(id, 20);
    expect([status, body.status, body.trials.total]).toEqual([202, "running", 20]);
    expect([body.finished_at, body.trials_sha256]).toEqual([null, null]);
    const long = await over(service, id);
    await rest();
    work("oldest first");
    const whole = await over(service, (await study(service, asked({ ...more, trials: 20, parallel: 4 }))).id);
    expect(long.trials).toEqual(whole.trials);
    expect(long.trials_sha256).toBe(whole.trials_sha256);
    expect(long.trials_sha256).not.toBe(short.trials_sha256);
    expect(long.best!.trial).toBe(whole.best!.trial);
    // As often as it is asked for, and no fewer.
    expect((await extend(id, 20)).body).toMatchObject({ status: "succeeded", trials_sha256: long.trials_sha256 });
    expect((await extend(id, 19)).body.errors).toEqual([
      { pointer: "/total", message: "must be at least 20, the trials that the study has" },
    ]);
    const events = (await service.call("GET", `/v1/studies/${id}/events?limit=100`)).body.data as { type: string }[];
    const types = events.map((event) => event.type).filter((event) => event !== "best");
    expect(types).toEqual(["created", "succeeded", "extended", "succeeded"]);
  });

  test("holds its dataset again, and has room for it", async () => {
    const other = (await service.upload(csv.replaceAll("0", "1"))).id;
    work();
    const { id } = await study(service, asked({ spec: specFor(other), trials: 4 }));
    await over(service, id);
    await rest();
    const reserved = async () => Number(await service.redis.client().hget(keys.study("default", id), "reserved"));
    const before = await reserved();
    expect((await extend(id, 8)).status).toBe(202);
    expect(await reserved()).toBeGreaterThan(before + 4000);
    expect((await service.call("DELETE", `/v1/datasets/${other}`)).body.code).toBe("dataset_in_use");
    expect((await extend(id, 9)).body).toMatchObject({ code: "wrong_status", current_status: "running" });
    work();
    await over(service, id);
    expect((await service.call("DELETE", `/v1/datasets/${other}`)).status).toBe(204);
    expect((await extend(id, 9)).body.errors).toEqual([
      { pointer: "/total", message: "cannot be more: a dataset of the study was deleted" },
    ]);
  });

  test("must be one that may have more", async () => {
    work();
    const { id } = await study(service, asked({ sampler: { type: "grid", points: 2 }, trials: null, seeds: 2 }));
    const total = (await over(service, id)).trials.total;
    const told = async (more: unknown, of = id) => (await extend(of, more)).body.errors[0].message as string;
    expect(await told(total + 1)).toBe(`must be at most ${total}, the points of the grid`);
    expect(await told(1e9)).toMatch(/^must be at most 10000/);
    expect(await told("x")).toMatch(/^must be a number/);
    const limited = await study(service, asked({ trials: 2, seeds: 2 }));
    await over(service, limited.id);
    expect(await told(5001, limited.id)).toBe("times /seeds must be at most 10000, not 10002");
    await rest();
    const cancelled = await study(service, asked());
    await service.call("POST", `/v1/studies/${cancelled.id}/cancel`);
    await over(service, cancelled.id);
    expect((await extend(cancelled.id, 20)).body).toMatchObject({ code: "wrong_status", current_status: "cancelled" });
    const late = await study(service, asked({ timeout: 0.001 }));
    await over(service, late.id);
    expect(await told(20, late.id)).toMatch(/^cannot be more: the study's time was over/);
  });
});

test("a paused study starts no trial, and goes on when it is resumed", async () => {
  const { id } = await study(service, asked());
  await until(
    () => trialsOf(service, id),
    (trials) => trials.length === 4,
  );
  const post = async (action: string) => await service.call("POST", `/v1/studies/${id}/${action}`);
  expect((await post("pause")).body).toMatchObject({ status: "paused" });
  expect((await post("pause")).body).toMatchObject({ code: "wrong_status", current_status: "paused" });
  work();
  await until(
    () => read(service, id),
    ({ trials }) => trials.ended === 4,
  );
  expect(await trialsOf(service, id)).toHaveLength(4);
  expect((await service.call("DELETE", `/v1/studies/${id}`)).body.code).toBe("wrong_status");
  expect((await service.call("DELETE", `/v1/datasets/${dataset}`)).body.code).toBe("dataset_in_use");
  expect((await post("resume")).body).toMatchObject({ status: "running" });
  expect(await over(service, id)).toMatchObject({ status: "succeeded", trials: { ended: 12 } });
  const events = (await service.call("GET", `/v1/studies/${id}/events?limit=100`)).body.data as { type: string }[];
  const types = events.map(({ type }) => type);
  expect(types.filter((type) => type !== "best")).toEqual(["created", "paused", "resumed", "succeeded"]);
  const stream = await service.call("GET", `/v1/studies/${id}/events`, { headers: { accept: "text/event-stream" } });
  expect([...stream.text.matchAll(/^event: (\w+)$/gm)].map(([, type]) => type)).toEqual(types);
  expect((await service.call("DELETE", `/v1/studies/${id}`)).status).toBe(204);
  expect((await service.call("GET", `/v1/studies/${id}/trials`)).status).toBe(404);
});

const mayWait = async (waiting: number | null) => {
  const none = { running: null, dataset_bytes: null, checkpoint_bytes: null, archived_bytes: null };
  await service.store.limitOwners({ waiting, ...none });
};

test("a study whose owner may have no more waiting jobs says so, and goes on when there is room", async () => {
  await mayWait(3);
  onTestFinished(() => mayWait(null));
  const { id } = await study(service, asked({ seeds: 2 }));
  const why = "You may have 3 jobs waiting; you have 3, and the next trial would be 1 more.";
  await until(
    () => read(service, id),
    ({ waiting_for }) => waiting_for === why,
  );
  const post = async (action: string) => await service.call("POST", `/v1/studies/${id}/${action}`);
  expect((await post("pause")).body).toMatchObject({ status: "paused", waiting_for: null });
  await post("resume");
  await until(
    () => read(service, id),
    ({ waiting_for }) => waiting_for === why,
  );
  work();
  expect(await over(service, id)).toMatchObject({ status: "succeeded", waiting_for: null, trials: { ended: 12 } });
  await rest();
  await mayWait(null);
  work();
  const { id: other } = await study(service, asked({ seeds: 2 }));
  const free = await over(service, other);
  expect((await read(service, id)).trials_sha256).toBe(free.trials_sha256);
});

test("a study that is cancelled while it waits for room leaves no job behind", async () => {
  await mayWait(3);
  onTestFinished(() => mayWait(null));
  const { id } = await study(service, asked({ seeds: 2 }));
  await until(
    () => read(service, id),
    ({ waiting_for }) => waiting_for !== null,
  );
  await service.call("POST", `/v1/studies/${id}/cancel`);
  expect(await over(service, id)).toMatchObject({ status: "cancelled", waiting_for: null });
  expect((await service.store.jobs.list("default", { limit: 10, statuses: ["queued"] })).data).toEqual([]);
});

test("a cancelled study cancels the jobs of its trials", async () => {
  const { id } = await study(service, asked());
  const running = await until(
    () => trialsOf(service, id),
    (trials) => trials.length === 4,
  );
  expect((await service.call("POST", `/v1/studies/${id}/cancel`)).status).toBe(202);
  expect(await over(service, id)).toMatchObject({ status: "cancelled", best: null, trials: { ended: 4 } });
  for (const { jobs } of running) {
    expect(await service.store.jobs.progress("default", jobs[0])).toMatchObject({ status: "cancelled" });
  }
});

test("a trial that is cancelled by hand is a recorded input, and the study goes on", async () => {
  const { id } = await study(service, asked());
  const [, second] = await until(
    () => trialsOf(service, id),
    (trials) => trials.length === 4,
  );
  await service.store.jobs.cancel("default", second.jobs[0]);
  work();
  expect(await over(service, id)).toMatchObject({ status: "succeeded", trials: { ended: 12 } });
  expect((await trialsOf(service, id))[1]).toMatchObject({ status: "cancelled", value: null });
});

test("after its time the winner is of the first trials that had ended", async () => {
  const { id } = await study(
    service,
    asked({ timeout: 1, parallel: 3, space: { "/optimizer/lr": { uniform: [0.01, 0.1] } } }),
  );
  const [first, , third] = await until(
    () => trialsOf(service, id),
    (trials) => trials.length === 3,
  );
  // Of three trials the first and the last end in time.
  const these = (waiting: readonly string[]) => waiting.find((job) => job === first.jobs[0] || job === third.jobs[0]);
  stop = new AbortController();
  working = endJobs(service, (waiting) => these(waiting) ?? stopped(), stop.signal).catch(() => undefined);
  const ended = await over(service, id);
  expect(ended).toMatchObject({ status: "succeeded", best: { trial: 0 } });
  const events = (await service.call("GET", `/v1/studies/${id}/events`)).body.data as { type: string; data: object }[];
  expect(events.find(({ type }) => type === "timed_out")).toMatchObject({ data: { trials: expect.any(Number) } });
});

function stopped(): never {
  throw new Error("there is nothing to end");
}

test("a study without a trial that succeeds has failed", async () => {
  work();
  const { id } = await study(service, asked({ space: { "/optimizer/lr": { uniform: [0.6, 0.9] } } }));
  const ended = await over(service, id);
  expect(ended).toMatchObject({ status: "failed", best: null, trials: { failed: 12 } });
  expect((await trialsOf(service, id))[0].error).toBe("It diverged.");
});

test("rows that come with the spec become a dataset that all trials share", async () => {
  work();
  const data = { synthetic: { type: "two_moons", rows: 20 }, target: "target", validation: { every: 5 } };
  const { id, spec } = await study(service, asked({ spec: specFor(dataset, { data }) }));
  const kept = (spec.data as { dataset: string }).dataset;
  expect((await service.call("GET", `/v1/datasets/${kept}`)).body).toMatchObject({ rows: 20 });
  await over(service, id);
  const [{ jobs }] = await trialsOf(service, id);
  expect((await service.store.jobs.get("default", jobs[0]))!.spec.data).toMatchObject({ dataset: kept });
  expect((await service.call("DELETE", `/v1/datasets/${kept}`)).status).toBe(204);
});

test("an idempotency key gives the first study again", async () => {
  const headers = { "idempotency-key": "search" };
  const post = (body: object) => service.call("POST", "/v1/studies", { body, headers });
  const [one, again, other] = [await post(asked()), await post(asked()), await post(asked({ seed: 9 }))];
  expect(again.body.id).toBe(one.body.id);
  expect(again.headers["idempotency-replayed"]).toBe("true");
  expect(other.body.code).toBe("idempotency_mismatch");
  const { body } = await service.call("GET", "/v1/studies?limit=1");
  expect((body.data as Study[]).map(({ id }) => id)).toEqual([one.body.id]);
  await service.call("POST", `/v1/studies/${one.body.id}/cancel`);
  await over(service, one.body.id);
});
