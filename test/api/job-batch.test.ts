// Many jobs in one request: POST /v1/jobs/batch.
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { JobBatchResults } from "../../src/contract/wire/job-batch.ts";
import { keys } from "../../src/store/keys.ts";
import { idAfter } from "../../src/store/new-job.ts";
import { csv, specFor, startService, type Service } from "./service.ts";

let service: Service;
let dataset: string;
beforeAll(async () => {
  service = await startService({ maxJobBytes: 2 ** 26 });
  dataset = (await service.upload(csv)).id;
});
afterAll(() => service.stop());
beforeEach(() =>
  service.store.limitOwners({
    waiting: null,
    running: null,
    dataset_bytes: null,
    checkpoint_bytes: null,
    archived_bytes: null,
  }),
);

const post = (body: unknown, headers: Record<string, string> = {}) =>
  service.call("POST", "/v1/jobs/batch", { body, headers: { "content-type": "application/json", ...headers } });
const named = (name: string) => specFor(dataset, { name });
const results = async (...args: Parameters<typeof post>): Promise<JobBatchResults["results"]> => {
  const response = await post(...args);
  expect([response.status, response.body]).toEqual([207, response.body]);
  return response.body.results;
};
const statuses = (all: JobBatchResults["results"]) => all.map(({ status }) => status);
const idsOf = (all: JobBatchResults["results"]) => all.map((result) => ("job" in result ? result.job.id : null));

test("right specs become jobs, wrong ones fail alone, each in its place", async () => {
  const before = (await service.store.overview.queue()).waiting;
  const wrong = specFor(dataset, { training: { epochs: 0, batch_size: 4 } });
  const all = await results({ jobs: [named("first"), wrong, 5, named("last"), specFor("ds_0"), []] });
  expect(statuses(all)).toEqual([201, 422, 422, 201, 422, 422]);
  expect(all[1]).toMatchObject({ problem: { code: "invalid_spec", errors: [{ pointer: "/training/epochs" }] } });
  const [first, last] = idsOf(all).filter((id) => id !== null);
  const list = await service.store.jobs.list("default", { limit: 2 });
  // Those that come later in the batch are newer.
  expect(list.data.map(({ id, name }) => [id, name])).toEqual([
    [last, "last"],
    [first, "first"],
  ]);
  expect(all[3]).toEqual({ status: 201, job: JSON.parse(JSON.stringify(list.data[0])) });
  expect((await service.store.overview.queue()).waiting).toBe(before + 2);
});

test("sent again with its key, a batch has the same jobs; what is missing is created", async () => {
  const key = { "idempotency-key": "batch" };
  await service.store.limitOwners({
    waiting: 1,
    running: null,
    dataset_bytes: null,
    checkpoint_bytes: null,
    archived_bytes: null,
  });
  const body = { jobs: [named("a"), specFor(dataset, { model: { layers: [] } }), named("b")] };
  expect(statuses(await results(body, key))).toEqual([429, 422, 429]);
  await service.store.limitOwners({
    waiting: null,
    running: null,
    dataset_bytes: null,
    checkpoint_bytes: null,
    archived_bytes: null,
  });
  const completed = await results(body, key);
  expect(statuses(completed)).toEqual([201, 422, 201]);

  const spelled = JSON.stringify({ jobs: body.jobs }, null, 2);
  const again = await post(spelled, key);
  expect(again.headers["idempotency-replayed"]).toBe("true");
  expect(idsOf(again.body.results)).toEqual(idsOf(completed));
  const jobs = await service.store.jobs.list("default", { limit: 100 });
  expect(jobs.data.filter(({ name }) => name === "a")).toHaveLength(1);

  const other = await post({ jobs: [named("c")] }, key);
  expect([other.status, other.body.code]).toEqual([422, "idempotency_mismatch"]);
  const single = await service.call("POST", "/v1/jobs", { body: named("a"), headers: key });
  expect([single.status, single.body.code]).toEqual([422, "idempotency_mismatch"]);
});

test("sent twice at once with its key, a batch creates each job once, with its data", async () => {
  const inline = { columns: ["x", "label"], rows: Array.from({ length: 12 }, (_, i) => [i, ["a", "b"][i % 2]]) };
  const jobs = Array.from({ length: 8 }, (_, i) =>
    specFor("", { name: `twice ${i}`, data: { inline, target: "label" } }),
  );
  const both = await Promise.all([1, 2].map(() => results({ jobs }, { "idempotency-key": "twice" })));
  expect(both.map(statuses)).toEqual([Array(8).fill(201), Array(8).fill(201)]);
  expect(idsOf(both[0])).toEqual(idsOf(both[1]));
  const connection = service.redis.client();
  expect(await connection.zcard("{rappel}:pending")).toBe(0);
  for (const id of idsOf(both[0])) {
    const { datasets } = (await service.store.jobs.trainedOn("default", id!))!;
    expect(await service.store.datasets.get("default", datasets[0])).not.toBeNull();
    const events = await service.store.jobs.events("default", id!, { limit: 10 });
    expect(events!.data.map(({ type }) => type)).toEqual(["created"]);
  }
  // No room is promised twice.
  let promised = 0;
  for (const id of await connection.hkeys(keys.open)) {
    const [reserved, spent] = await connection.hmget(keys.job("default", id), "reserved", "spent");
    promised += Number(reserved) - Number(spent);
  }
  expect(Number(await connection.hget(keys.room, "promised"))).toBe(promised);
});

test("each job counts against the owner's limit of waiting jobs", async () => {
  const waiting = (await service.store.overview.jobs()).queued;
  await service.store.limitOwners({
    waiting: waiting + 3,
    running: null,
    dataset_bytes: null,
    checkpoint_bytes: null,
    archived_bytes: null,
  });
  const all = await results({ jobs: Array.from({ length: 5 }, () => named("limited")) });
  expect(statuses(all).sort((a, b) => a - b)).toEqual([201, 201, 201, 429, 429]);
});

test("a body that is no batch is refused as a whole, and creates nothing", async () => {
  const before = await service.store.overview.jobs();
  const spec = JSON.stringify(named("x"));
  const refused = async (body: string) => {
    const { status, body: problem } = await post(body);
    return [status, problem.code, problem.errors?.[0].pointer ?? null];
  };
  expect(await refused("")).toEqual([400, "malformed_json", null]);
  expect(await refused("{}")).toEqual([422, "invalid_spec", "/jobs"]);
  expect(await refused("[]")).toEqual([422, "invalid_spec", ""]);
  expect(await refused('{"jobs": []}')).toEqual([422, "invalid_spec", "/jobs"]);
  expect(await refused('{"jobs": {"a": {}}}')).toEqual([422, "invalid_spec", "/jobs"]);
  expect(await refused(`{"jobs": [${spec}], "more": [{}]}`)).toEqual([422, "invalid_spec", "/more"]);
  expect(await refused(`{"jobs": [${spec}, {"a": tru}]}`)).toEqual([400, "malformed_json", null]);
  expect(await refused(`{"jobs": [${spec}`)).toEqual([400, "malformed_json", null]);
  expect(await refused(`{"jobs": [${spec}]]`)).toEqual([400, "malformed_json", null]);
  expect(await refused(`{"jobs": [${"{},".repeat(1000)}{}]}`)).toEqual([422, "invalid_spec", "/jobs"]);
  expect(await refused(`{"jobs": [${"1,".repeat(100_000)}1]}`)).toEqual([422, "invalid_spec", "/jobs"]);
  expect(await refused(`{"jobs": [${spec}, "${"x".repeat(8 * 2 ** 20)}"]}`)).toEqual([413, "too_large", null]);
  expect(await service.store.overview.jobs()).toEqual(before);
  const missing = await service.app.inject({ method: "POST", url: "/v1/jobs/batch" });
  expect(missing.statusCode).toBe(400);
});

test("a spec in a batch may be as large as alone; a larger or deeper one fails alone", async () => {
  const large = { ...named("large"), metadata: { text: "x".repeat(2 * 2 ** 20) } };
  const deep = JSON.parse(`${"[".repeat(65)}${"]".repeat(65)}`);
  const strange = { ...named('brackets "]}[{" in a name'), metadata: { a: '\\"]' } };
  expect(statuses(await results({ jobs: [large, deep, strange] }))).toEqual([413, 422, 201]);
});

test("where requests are limited, a batch counts as one for each job", async () => {
  const limited = await startService({ requestsPerMinute: 4 });
  try {
    const { id } = await limited.upload(csv);
    const headers = { "content-type": "application/json" };
    const body = { jobs: Array.from({ length: 5 }, () => specFor(id)) };
    const { body: answer } = await limited.call("POST", "/v1/jobs/batch", { body, headers });
    expect(statuses(answer.results).sort((a, b) => a - b)).toEqual([201, 201, 201, 429, 429]);
  } finally {
    await limited.stop();
  }
});

test("a thousand specs hold up nobody else", async () => {
  const jobs = Array.from({ length: 1000 }, (_, i) => named(`many ${i}`));
  const state = { done: false, answered: 0 };
  const posted = results({ jobs }).finally(() => (state.done = true));
  while (!state.done) {
    expect((await service.call("GET", "/healthz")).status).toBe(200);
    state.answered++;
  }
  expect(statuses(await posted)).toEqual(Array(1000).fill(201));
  // It is answered between the slices, not only before and after the batch.
  expect(state.answered).toBeGreaterThan(20);
});

test("ids that follow one another are in order, across all digits", () => {
  const first = "job_01k3w9d0c8v6m2q4r7t5x1yzzy";
  expect([0, 1, 2, 33].map((places) => idAfter(first, places))).toEqual([
    first,
    "job_01k3w9d0c8v6m2q4r7t5x1yzzz",
    "job_01k3w9d0c8v6m2q4r7t5x1z000",
    "job_01k3w9d0c8v6m2q4r7t5x1z00z",
  ]);
});
