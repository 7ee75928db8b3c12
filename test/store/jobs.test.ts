import { expect, test } from "vitest";
import { filesOf, type Named } from "../../src/data/dataset.ts";
import { FIRST_READING } from "../../src/data/reading.ts";
import { MOST_LOOKED_AT } from "../../src/store/job-list.ts";
import { keys } from "../../src/store/keys.ts";
import { acquire, eventTypes, newJob, OWNER, postJob, progressAt } from "./support.ts";
import { redis, setUpStore, store } from "./setup.ts";

setUpStore();

const idempotency = { key: "a key", bodySha256: "2".repeat(64) };

test("a created job can be read back, and only by its owner", async () => {
  const job = newJob({ owner: "alice" });
  const { outcome, record } = await store.jobs.create(job);
  expect(outcome).toBe("created");
  expect(await store.jobs.get("alice", job.id)).toEqual(record);
  expect(record).toMatchObject({ id: job.id, status: "queued", run: 0, result: null, error: null, name: null });
  expect(record!.progress).toMatchObject({ step: 0, total_steps: 100, progress: 0, updated_at: null });
  expect(Date.now() - Date.parse(record!.created_at)).toBeLessThan(10_000);
  expect(await eventTypes(store, job.id).catch(() => "nothing")).toBe("nothing");
  for (const owner of ["bob", "default"]) {
    expect(await store.jobs.get(owner, job.id)).toBeNull();
    expect(await store.jobs.events(owner, job.id, { limit: 10 })).toBeNull();
    expect(await store.jobs.cancel(owner, job.id)).toBeNull();
    expect((await store.jobs.list(owner, { limit: 10 })).data).toEqual([]);
  }
});

test("an idempotency key leads to the first job, only for the same body and the same owner", async () => {
  const first = newJob({ idempotency });
  await store.jobs.create(first);
  const again = await store.jobs.create(newJob({ idempotency }));
  expect(again).toMatchObject({ outcome: "replayed", record: { id: first.id } });
  expect(await store.jobs.replay(OWNER, idempotency)).toEqual(again);

  const other = { key: "a key", bodySha256: "3".repeat(64) };
  expect((await store.jobs.create(newJob({ idempotency: other }))).outcome).toBe("mismatch");
  expect((await store.jobs.replay(OWNER, other))?.outcome).toBe("mismatch");
  expect(await store.jobs.replay(OWNER, { ...idempotency, key: "another key" })).toBeNull();
  expect((await store.jobs.create(newJob({ owner: "bob", idempotency }))).outcome).toBe("created");
  expect((await store.jobs.list(OWNER, { limit: 10 })).data).toHaveLength(1);

  const [key] = await redis.keys("*:default:idempotency:*");
  const seconds = await redis.ttl(key);
  expect(seconds).toBeGreaterThan(24 * 3600 - 60);
  expect(seconds).toBeLessThanOrEqual(24 * 3600);
});

test("fifty simultaneous posts with one idempotency key make one job", async () => {
  const all = await Promise.all(Array.from({ length: 50 }, () => store.jobs.create(newJob({ idempotency }))));
  expect(all.filter(({ outcome }) => outcome === "created")).toHaveLength(1);
  expect(new Set(all.map(({ record }) => record?.id)).size).toBe(1);
});

test("lists are newest first, and pages neither repeat nor skip while jobs come and end", async () => {
  const ids: string[] = [];
  for (let i = 0; i < 7; i++) ids.push(await postJob(store, { id: `job_0000000000000000000000000${i}` }));
  const first = await store.jobs.list(OWNER, { limit: 3 });
  expect(first.data.map(({ id }) => id)).toEqual(ids.slice(4).reverse());
  expect(first).toMatchObject({ has_more: true, next: ids[4] });

  await postJob(store, { id: "job_00000000000000000000000009" });
  await store.jobs.cancel(OWNER, ids[4]);
  const second = await store.jobs.list(OWNER, { limit: 3, after: first.next! });
  expect(second.data.map(({ id }) => id)).toEqual(ids.slice(1, 4).reverse());
  const third = await store.jobs.list(OWNER, { limit: 3, after: second.next! });
  expect(third).toMatchObject({ data: [{ id: ids[0] }], has_more: false, next: null });
  expect(third.data[0]).not.toHaveProperty("spec");
});

test("lists filter by several statuses and by metadata, over more records than are read together", async () => {
  const team = (name: string) => ({ ...newJob({ metadata: { team: name } }) });
  const wanted: string[] = [];
  const all: string[] = [];
  for (let i = 0; i < 450; i++) {
    const job = team(i % 225 === 0 ? "vision" : "speech");
    await store.jobs.create(job);
    all.push(job.id);
    if (i % 225 === 0) wanted.unshift(job.id);
  }
  const vision = await store.jobs.list(OWNER, { limit: 5, metadata: { team: "vision" } });
  expect(vision.data.map(({ id }) => id)).toEqual(wanted);
  // The page is full some records before the next one that fits.
  const one = await store.jobs.list(OWNER, { limit: 1, metadata: { team: "vision" } });
  expect(one).toMatchObject({ data: [{ id: wanted[0] }], has_more: true, next: wanted[0] });
  await acquire(store, wanted[0]);
  await store.jobs.cancel(OWNER, wanted[1]);
  const ids = async (statuses: Parameters<typeof store.jobs.list>[1]["statuses"]) =>
    (await store.jobs.list(OWNER, { limit: 5, statuses, metadata: { team: "vision" } })).data.map(({ id }) => id);
  expect(await ids(["running"])).toEqual([wanted[0]]);
  expect(await ids(["running", "cancelled"])).toEqual(wanted);
  expect(await ids(["queued", "failed"])).toEqual([]);
  // The only cancelled job is the oldest: those that wait are not passed over because of it.
  const either = await store.jobs.list(OWNER, { limit: 500, statuses: ["queued", "cancelled"] });
  expect(either.data.map(({ id }) => id)).toEqual(
    all
      .filter((id) => id !== wanted[0])
      .sort()
      .reverse(),
  );
});

test("a page by metadata looks at so many jobs at most, and says where to go on", async () => {
  const ids = Array.from({ length: MOST_LOOKED_AT + 1 }, () => newJob().id).sort();
  const [oldest, newest] = [ids[0], ids.at(-1)!];
  for (const id of [oldest, newest]) await store.jobs.create({ ...newJob({ metadata: { team: "vision" } }), id });
  // The ids of jobs without records count as jobs that do not fit.
  for (let i = 0; i < ids.length; i += 1000)
    await redis.zadd(keys.jobs(OWNER), ...ids.slice(i, i + 1000).flatMap((id) => [0, id]));
  const commands = async () => Number(/cmdstat_hget:calls=(\d+)/.exec(await redis.info("commandstats"))![1]);

  const before = await commands();
  const first = await store.jobs.list(OWNER, { limit: 5, metadata: { team: "vision" } });
  expect((await commands()) - before).toBeLessThanOrEqual(MOST_LOOKED_AT);
  expect(first).toMatchObject({ data: [{ id: newest }], has_more: true });
  const second = await store.jobs.list(OWNER, { limit: 5, metadata: { team: "vision" }, after: first.next! });
  expect(second).toMatchObject({ data: [{ id: oldest }], has_more: false, next: null });
});

test("no job is passed over when more fit than a page has room for", async () => {
  const all = Array.from({ length: 23 }, () => newJob({ metadata: { team: "vision" } }));
  for (const job of all) await store.jobs.create(job);
  const seen: string[] = [];
  for (let after: string | undefined; ;) {
    const { data, next } = await store.jobs.list(OWNER, { limit: 5, metadata: { team: "vision" }, after });
    seen.push(...data.map(({ id }) => id));
    if (next === null) break;
    after = next;
  }
  expect(seen).toEqual(
    all
      .map(({ id }) => id)
      .sort()
      .reverse(),
  );
});

test("a job is cancelled at once if no run holds it, else its run is asked; an ended job stays as it is", async () => {
  const waiting = await postJob(store);
  expect(await store.jobs.cancel(OWNER, waiting)).toMatchObject({
    outcome: "cancelled",
    record: { status: "cancelled" },
  });
  expect((await store.jobs.cancel(OWNER, waiting))?.outcome).toBe("already");
  expect(await eventTypes(store, waiting)).toEqual(["created", "cancelled"]);

  const running = await postJob(store);
  const lease = await acquire(store, running);
  expect((await store.jobs.cancel(OWNER, running))?.outcome).toBe("cancelling");
  expect((await store.jobs.cancel(OWNER, running))?.outcome).toBe("cancelling");
  expect(await lease.renew(5000)).toBe("cancelling");
  await lease.finish({ status: "succeeded", progress: (await store.jobs.progress(OWNER, running))!, events: [] }, []);
  expect(await store.jobs.cancel(OWNER, running)).toMatchObject({
    outcome: "wrong_status",
    record: { status: "succeeded" },
  });
  expect(await eventTypes(store, running)).toEqual(["created", "started", "cancelling"]);
});

test("two requests to pause make one event", async () => {
  const id = await postJob(store);
  const lease = await acquire(store, id);
  expect(await store.jobs.pause(OWNER, id)).toMatchObject({ outcome: "pausing" });
  expect(await store.jobs.pause(OWNER, id)).toMatchObject({ outcome: "pausing" });
  expect(await lease.release({ type: "requeued", message: "", step: null, data: null })).toBe("paused");
  expect(await eventTypes(store, id)).toEqual(["created", "started", "pausing", "paused"]);
  expect(await store.jobs.resume(OWNER, id)).toMatchObject({ outcome: "queued" });
});

test("the progress of a succeeded job is 1, at whatever step it stopped", async () => {
  const id = await postJob(store);
  const lease = await acquire(store, id);
  await lease.finish({ status: "succeeded", progress: progressAt(30), events: [] }, []);
  expect(await store.jobs.progress(OWNER, id)).toMatchObject({ step: 30, total_steps: 100, progress: 1 });
});

test("events have ascending ids, and can be read from any of them on", async () => {
  const id = await postJob(store);
  const lease = await acquire(store, id);
  const event = (step: number) =>
    ({ type: "evaluated", message: `é ${step}`, step, data: { value: 0.1 + 0.2 } }) as const;
  await lease.report(1, (await store.jobs.progress(OWNER, id))!, [event(1), event(2), event(3)], []);
  const first = await store.jobs.events(OWNER, id, { limit: 3 });
  expect(first!.data.map((e) => [e.id, e.type, e.run])).toEqual([
    ["1", "created", 0],
    ["2", "started", 1],
    ["3", "evaluated", 1],
  ]);
  const rest = await store.jobs.events(OWNER, id, { limit: 3, after: first!.next! });
  expect(rest).toMatchObject({ has_more: false, next: null });
  expect(rest!.data.map((e) => [e.id, e.step, e.message])).toEqual([
    ["4", 2, "é 2"],
    ["5", 3, "é 3"],
  ]);
  expect(rest!.data[0].data).toEqual({ value: 0.1 + 0.2 });
});

test("the speed of a job and its remaining time are shown while it runs", async () => {
  const id = await postJob(store);
  const lease = await acquire(store, id);
  await lease.report(1, progressAt(50), [], []);
  expect(await store.jobs.progress(OWNER, id)).toMatchObject({ samples_per_second: 1000, eta_seconds: 1 });
  await lease.release({ type: "requeued", message: "Back.", step: 50, data: null });
  const waiting = { status: "queued", step: 50, progress: 0.5, samples_per_second: null, eta_seconds: null };
  expect(await store.jobs.progress(OWNER, id)).toMatchObject(waiting);
});

test("an event goes to the webhook only if exactly its type is wanted, not one that contains it", async () => {
  const { spec } = newJob();
  const events = ["checkpoint_failed" as const];
  const id = await postJob(store, { spec: { ...spec, webhook: { url: "https://platform.example", events } } });
  const lease = await acquire(store, id);
  const event = { message: "No.", step: null, data: null };
  await lease.report(1, progressAt(1), [{ ...event, type: "checkpoint_failed" }], []);
  await lease.finish({ status: "failed", progress: null, events: [{ ...event, type: "failed" }] }, []);
  expect(await eventTypes(store, id)).toEqual(["created", "started", "checkpoint_failed", "failed"]);
  expect(await redis.lrange("{rappel}:outbox", 0, "-1")).toEqual([`${OWNER} ${id} 3`]);
});

const references = (dataset: Named) => Promise.all(filesOf(dataset).map((name) => store.datasets.references(name)));

test("a dataset is kept as long as a job that has not ended uses it", async () => {
  const dataset = {
    id: "ds_01k3w9d0c8v6m2q4r7t5x1y9za",
    name: null,
    format: "csv" as const,
    sha256: "4".repeat(64),
    bytes: 10,
    reading: FIRST_READING,
    columns_sha256: "5".repeat(64),
    rows: 2,
    columns: [
      {
        name: "x",
        type: "numeric" as const,
        missing: 0,
        min: 0.1,
        max: 0.3,
        mean: 0.2,
        classes: null,
        all_different: false,
        reason: null,
        text_bytes: null,
      },
    ],
  };
  const { record, created } = (await store.datasets.put(OWNER, dataset))!;
  expect(created).toBe(true);
  expect(record).toEqual({ ...dataset, created_at: expect.stringMatching(/Z$/) });
  const twin = await store.datasets.put(OWNER, { ...dataset, id: "ds_01k3w9d0c8v6m2q4r7t5x1y9zb" });
  expect(twin).toEqual({ record, created: false });
  const bobs = (await store.datasets.put("bob", { ...dataset, id: "ds_01k3w9d0c8v6m2q4r7t5x1y9zc" }))!;
  expect(bobs.created).toBe(true);

  const job = await postJob(store, { datasetIds: [dataset.id] });
  expect(await store.datasets.remove(OWNER, dataset.id)).toBe("in_use");
  await store.jobs.cancel(OWNER, job);
  expect(await store.datasets.remove("bob", dataset.id)).toBe("missing");
  expect(await store.datasets.remove(OWNER, dataset.id)).toBe("removed");
  expect(await store.datasets.get(OWNER, dataset.id)).toBeNull();
  expect((await store.datasets.list(OWNER, { limit: 10 })).data).toEqual([]);
  expect(await references(dataset)).toEqual([1, 1]);
  await store.datasets.remove("bob", bobs.record.id);
  expect(await references(dataset)).toEqual([0, 0]);
  expect((await store.jobs.create(newJob({ datasetIds: [dataset.id] }))).outcome).toBe("dataset_missing");
});

test("the same bytes with another reading are another dataset, and each file counts its datasets", async () => {
  const of = (id: string, columns: string) => ({
    id: `ds_${id}`,
    name: null,
    format: "csv" as const,
    sha256: "6".repeat(64),
    bytes: 10,
    reading: FIRST_READING,
    columns_sha256: columns.repeat(64),
    rows: 2,
    columns: [],
  });
  // A record of an earlier version.
  const { columns_sha256: _, reading: __, ...rest } = of("old", "7");
  const old = { ...rest, columns_sha256: null };
  await redis.set(keys.dataset(OWNER, old.id), JSON.stringify({ created_at: 1, counted_bytes: 0, ...rest }));
  await redis.hset("{rappel}:owner:default:datasets:sha256", old.sha256, old.id);
  await redis.hset(keys.files, old.sha256, 1);
  const record = await store.datasets.get(OWNER, old.id);
  expect(record).toMatchObject({ reading: FIRST_READING, columns_sha256: null });

  const [first, second] = [of("first", "8"), of("second", "9")];
  for (const dataset of [first, second]) expect((await store.datasets.put(OWNER, dataset)).created).toBe(true);
  expect(await store.datasets.put(OWNER, { ...of("again", "9") })).toMatchObject({
    record: { id: "ds_second" },
    created: false,
  });
  const all = [old, first, second];
  expect(await Promise.all(all.map(references))).toEqual([1, 1, 1].map((columns) => [columns, 3]));
  await store.datasets.remove(OWNER, first.id);
  expect(await Promise.all(all.map(references))).toEqual([1, 0, 1].map((columns) => [columns, 2]));
  await store.datasets.remove(OWNER, old.id);
  expect(await Promise.all(all.map(references))).toEqual([0, 0, 1].map((columns) => [columns, 1]));
  await store.datasets.remove(OWNER, second.id);
  expect(await redis.exists(keys.files, "{rappel}:owner:default:datasets:sha256")).toBe(0);
});
