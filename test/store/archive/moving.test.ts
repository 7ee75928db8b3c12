// Ended jobs in the archive: nothing that can be read of them changes when they move, and little is
// left of them in Redis.
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ArchiveDirectory } from "../../../src/store/archive/directory.ts";
import { placeIn } from "../../../src/store/archive/entry.ts";
import { Damaged, OutOfReach } from "../../../src/store/errors.ts";
import { keys } from "../../../src/store/keys.ts";
import { Store } from "../../../src/store/store.ts";
import { connected, metricRows, newJob, OWNER, postJob, room } from "../support.ts";
import { expire, loose, MiB, redis, server, setUpStore, usage } from "../setup.ts";
import {
  compaction,
  directory,
  endedJob,
  everythingOf,
  type EndedOptions,
  log,
  moveAll,
  mover,
  setUpArchive,
  store,
} from "./support.ts";

setUpStore();
setUpArchive();

const archivedField = (id: string) => redis.hget(keys.job(OWNER, id), "archived");

test.each([
  ["small", { bytes: 1000, rows: 20 }],
  ["with long lists and large files", { bytes: 9 * MiB, rows: 1200 }],
  ["with metadata", { metadata: { name: "x" } }],
] satisfies [string, EndedOptions][])(
  "all that can be read of a job stays the same when it moves: %s",
  async (_, options) => {
    const id = await endedJob(options);
    const before = await everythingOf(id);
    expect(before.rows!.length).toBeGreaterThan(20);
    await moveAll();
    expect(await archivedField(id)).not.toBeNull();
    expect(await everythingOf(id)).toEqual(before);
    await expire("loose");
    await store.overview.room();
    expect(await everythingOf(id)).toEqual(before);
  },
);

test("of an archived job one small key and its places in lists are left in Redis", async () => {
  const id = await endedJob();
  await moveAll();
  await expire("loose");
  await store.overview.room();
  const left = (await redis.keys(`*${id}*`)).filter((key) => !key.endsWith(":dropped"));
  expect(left).toEqual([keys.job(OWNER, id)]);
  expect(Number(await redis.memory("USAGE", keys.job(OWNER, id)))).toBeLessThan(1000);
  expect(await loose()).toEqual([]);
});

test("what the job left behind can be read until its room is needed", async () => {
  const id = await endedJob();
  await moveAll();
  expect(await redis.exists(keys.rows(keys.job(OWNER, id)))).toBe(1);
  expect(await redis.ttl(keys.rows(keys.job(OWNER, id)))).toBeGreaterThan(500);
  const [entry] = (await loose()).filter((one) => one.endsWith(keys.job(OWNER, id)));
  expect(entry).toBeDefined();
});

test("bytes in the archive count for their owner and in all, until the job is deleted", async () => {
  const id = await endedJob();
  const inRedis = Number((await usage()).checkpoint_bytes);
  await moveAll();
  const { bytes, segment } = placeIn((await archivedField(id))!);
  const after = await usage();
  expect(after.archived_bytes).toBe(String(bytes));
  expect(Number(after.checkpoint_bytes)).toBeLessThan(inRedis / 2);
  expect(await store.overview.archive()).toEqual({ jobs: 1, bytes, waiting: 0 });
  expect(await redis.hgetall(keys.segments)).toEqual({ [segment]: String(bytes) });
  expect(await store.jobs.remove(OWNER, id)).toMatchObject({ outcome: "removed" });
  expect(await usage()).toEqual({});
  expect(await store.overview.archive()).toEqual({ jobs: 0, bytes: 0, waiting: 0 });
  expect(await redis.keys(`*${id}*`)).toEqual([]);
  expect(await loose()).toEqual([]);
  expect(await redis.lrange(keys.buried, 0, -1)).toEqual([`${OWNER} ${id}`]);
  await mover.bury();
  expect(await redis.exists(keys.buried)).toBe(0);
});

test("an owner whose archived jobs reach the limit gets no new job until some are deleted", async () => {
  const id = await endedJob();
  await moveAll();
  const limit = Number((await usage()).archived_bytes) + 60_000;
  const none = { waiting: null, running: null, dataset_bytes: null, checkpoint_bytes: null };
  await store.limitOwners({ ...none, archived_bytes: limit });
  const post = (bytes: number, owner = OWNER) => postJob(store, { room: room(bytes), owner });
  await post(60_000);
  await post(60_001, "another");
  await expect(post(60_001)).rejects.toMatchObject({ what: "archived_bytes", limit, more: 60_001 });
  await expect(store.jobs.reserve(newJob({ room: room(60_001) }))).rejects.toThrow("archived_bytes");
  await expect(store.jobs.askRoom(OWNER, room(60_001))).rejects.toThrow("archived_bytes");
  await store.jobs.remove(OWNER, id);
  await post(60_001);
});

test("an archived job goes when it is old, as others do", async () => {
  const id = await endedJob();
  await moveAll();
  await store.upkeep.purge(-1000);
  expect(await store.jobs.get(OWNER, id)).toBeNull();
  expect(await metricRows(store, OWNER, id)).toBeNull();
  expect(await store.jobs.events(OWNER, id, { limit: 1 })).toBeNull();
  expect(await store.jobs.model(OWNER, id, "final")).toBeNull();
});

test("a job that is deleted while it is copied stays deleted", async () => {
  const id = await endedJob();
  const append = mover.append.bind(mover);
  mover.append = async (entries) => {
    const places = await append(entries);
    await store.jobs.remove(OWNER, id);
    return places;
  };
  await moveAll();
  expect(await redis.keys(`*${id}*`)).toEqual([]);
  expect(await store.overview.archive()).toEqual({ jobs: 0, bytes: 0, waiting: 0 });
});

test("a job that gets an event while it is copied is copied again later", async () => {
  const id = await endedJob();
  const append = mover.append.bind(mover);
  mover.append = async (entries) => {
    const event = { type: "webhook_failed" as const, message: "Given up.", step: null, data: null };
    await store.outbox.undelivered(OWNER, id, `${id}-1`, event);
    return await append(entries);
  };
  await moveAll();
  expect(await archivedField(id)).toBeNull();
  mover.append = append;
  await redis.zadd(keys.unarchived, "1", keys.job(OWNER, id));
  const before = await everythingOf(id);
  await moveAll();
  expect(await archivedField(id)).not.toBeNull();
  expect(await everythingOf(id)).toEqual(before);
});

test("a job waits while messages to its webhook are on their way", async () => {
  const id = await endedJob();
  await redis.hset(`${keys.job(OWNER, id)}:messages`, "1", "100");
  await moveAll();
  expect(await archivedField(id)).toBeNull();
  expect((await store.overview.archive()).waiting).toBe(1);
});

test("two processes that move the same job point to one entry", async () => {
  const id = await endedJob();
  const other = store.archiving(directory, log).mover;
  await Promise.all([mover.moveSome(), other.moveSome()]);
  await other.close();
  const { segment, bytes } = placeIn((await archivedField(id))!);
  expect(await redis.hgetall(keys.segments)).toEqual({ [segment]: String(bytes) });
  expect(await mover.turn(1000)).toBe(true);
  expect(await other.turn(1000)).toBe(false);
});

test("what is damaged in Redis stays there, and is told when it is read", async () => {
  const [small, large] = [await endedJob(), await endedJob({ bytes: MiB })];
  for (const id of [small, large]) {
    const blob = (await redis.hget(keys.model(keys.job(OWNER, id), "final"), "blob"))!;
    await redis.setrange(keys.chunk(keys.job(OWNER, id), blob, 0), 7, "damage");
  }
  const whole = await endedJob();
  await moveAll();
  for (const id of [small, large]) {
    expect(await archivedField(id)).toBeNull();
    await expect(store.jobs.model(OWNER, id, "final")).rejects.toThrow(Damaged);
  }
  expect(await archivedField(whole)).not.toBeNull();
  expect((await store.overview.archive()).waiting).toBe(0);
});

test("a damaged entry is told, and what is whole in it is served", async () => {
  const id = await endedJob();
  const final = await store.jobs.model(OWNER, id, "final");
  await moveAll();
  const { segment, offset } = placeIn((await archivedField(id))!);
  const path = join(directory.path, segment);
  const bytes = readFileSync(path);
  const at = bytes.indexOf(final!.bytes);
  bytes[at] ^= 1;
  writeFileSync(path, bytes);
  await expect(store.jobs.model(OWNER, id, "final")).rejects.toThrow(Damaged);
  expect((await store.jobs.model(OWNER, id, "best"))!.bytes.byteLength).toBe(1000);
  bytes[offset + 60] ^= 1;
  writeFileSync(path, bytes);
  await expect(store.jobs.get(OWNER, id)).rejects.toThrow(Damaged);
  expect((await store.jobs.list(OWNER, { limit: 10 })).data).toMatchObject([{ id, status: "succeeded" }]);
});

test("bytes that are away are out of reach, and there again when they are back", async () => {
  const id = await endedJob();
  await moveAll();
  const before = await everythingOf(id);
  const { segment } = placeIn((await archivedField(id))!);
  renameSync(join(directory.path, segment), join(directory.path, "away"));
  await expect(store.jobs.get(OWNER, id)).rejects.toThrow(OutOfReach);
  await expect(store.jobs.model(OWNER, id, "final")).rejects.toThrow(OutOfReach);
  await expect(metricRows(store, OWNER, id)).rejects.toThrow(OutOfReach);
  renameSync(join(directory.path, "away"), join(directory.path, segment));
  expect(await everythingOf(id)).toEqual(before);
});

test("another directory than the archive's is refused, and one that Redis does not know is taken over", async () => {
  const elsewhere = mkdtempSync(join(tmpdir(), "rappel-archive-"));
  const other = store.archiving(new ArchiveDirectory(elsewhere), log).mover;
  await expect(other.prove()).rejects.toThrow(/does not have the file "id"/);
  writeFileSync(join(elsewhere, "id"), "another");
  await expect(other.prove()).rejects.toThrow(/is another archive/);
  rmSync(elsewhere, { recursive: true });
  const id = await directory.id();
  await redis.flushall();
  await mover.prove();
  expect(await redis.hgetall(keys.archive)).toMatchObject({ id, ready: "1" });
});

test("after Redis has lost its data, archived jobs are there again, and deleted ones are not", async () => {
  const [named, deleted, plain] = [await endedJob({ metadata: { name: "x" } }), await endedJob(), await endedJob()];
  await moveAll();
  await store.jobs.remove(OWNER, deleted);
  await mover.bury();
  await mover.close();
  const [before, kept] = [await Promise.all([named, plain].map((id) => everythingOf(id))), await usage()];
  const archive = await store.overview.archive();
  await redis.flushall();
  await mover.prove();
  expect(await Promise.all([named, plain].map((id) => everythingOf(id)))).toEqual(before);
  expect(await store.jobs.get(OWNER, deleted)).toBeNull();
  expect(await store.overview.archive()).toEqual(archive);
  expect((await usage()).archived_bytes).toBe(kept.archived_bytes);
  expect(await store.overview.jobs()).toMatchObject({ succeeded: 2 });
  expect(await store.jobs.remove(OWNER, plain)).toMatchObject({ outcome: "removed" });
  await store.upkeep.purge(-1000);
  expect(await usage()).toEqual({});
});

test("while the records are written again, a job without one may come back, and is not missing", async () => {
  const id = await endedJob();
  await moveAll();
  await mover.close();
  await redis.flushall();
  const look = async () => await Promise.all([store.jobs.get(OWNER, id), store.jobs.model(OWNER, id, "final")]);
  expect(await look()).toEqual([null, null]);
  const segments = directory.segments.bind(directory);
  directory.segments = async () => {
    await expect(store.jobs.get(OWNER, id)).rejects.toThrow(OutOfReach);
    await expect(store.jobs.model(OWNER, id, "final")).rejects.toThrow(OutOfReach);
    await expect(store.jobs.events(OWNER, id, { limit: 1 })).rejects.toThrow(OutOfReach);
    await expect(store.jobs.remove(OWNER, id)).rejects.toThrow(OutOfReach);
    return await segments();
  };
  await mover.prove();
  directory.segments = segments;
  expect((await look()).includes(null)).toBe(false);
  expect(await store.jobs.get(OWNER, newJob().id)).toBeNull();
});

test("a job whose bytes are lost or damaged can be deleted", async () => {
  const [damaged, lost] = [await endedJob(), await endedJob()];
  await moveAll();
  const { segment, offset } = placeIn((await archivedField(damaged))!);
  const path = join(directory.path, segment);
  const bytes = readFileSync(path);
  bytes[offset + 60] ^= 1;
  writeFileSync(path, bytes);
  expect(await store.jobs.remove(OWNER, damaged)).toMatchObject({ outcome: "removed" });
  rmSync(path);
  expect(await store.jobs.remove(OWNER, lost)).toMatchObject({ outcome: "removed" });
  expect(await compaction.run()).toEqual([]);
  expect(await usage()).toEqual({});
});

test("of two entries of a job in one segment, the later one counts after a loss", async () => {
  const id = await endedJob();
  const append = mover.append.bind(mover);
  mover.append = async (entries) => {
    const places = await append(entries);
    const event = { type: "webhook_failed" as const, message: "Given up.", step: null, data: null };
    await store.outbox.undelivered(OWNER, id, `${id}-1`, event);
    return places;
  };
  await moveAll();
  mover.append = append;
  await redis.zadd(keys.unarchived, "1", keys.job(OWNER, id));
  await moveAll();
  const [before, place] = [await everythingOf(id), await archivedField(id)];
  await mover.close();
  expect(await directory.segments()).toHaveLength(1);
  await redis.flushall();
  await mover.prove();
  expect(await archivedField(id)).toBe(place);
  expect(await everythingOf(id)).toEqual(before);
});

test("a process that dies while it begins the archive leaves no earlier job behind", async () => {
  const id = await endedJob();
  const name = (await redis.hget(keys.archive, "id"))!;
  await redis.del(keys.archive, keys.unarchived);
  await redis.hset(keys.archive, "id", name);
  await mover.prove();
  await moveAll();
  expect(await archivedField(id)).not.toBeNull();
});

test("jobs that ended before there was an archive are moved, and predictions are not", async () => {
  const id = await endedJob();
  await redis.del(keys.archive, keys.unarchived);
  await mover.prove();
  await moveAll();
  expect(await archivedField(id)).not.toBeNull();
});

test("an archived job can be forked", async () => {
  const id = await endedJob({ bytes: 5 * MiB });
  const head = (await store.jobs.checkpointHead(OWNER, id, 100))!;
  await moveAll();
  const fork = () => {
    const { bytes, sha256, metrics } = head.checkpoint;
    const origin = { step: 100, bytes, sha256, metrics, use: "state" as const, changes: {} };
    return newJob({ fork: { parent: { job_id: id, step: 100 }, blob: head.blob, origin, progress: null } });
  };
  // Its bytes are still in Redis, then they are not.
  for (const _ of ["there", "gone"]) {
    const job = fork();
    expect(await store.jobs.create(job)).toMatchObject({ outcome: "created" });
    const chunk = await redis.getBuffer(keys.chunk(keys.job(OWNER, job.id), "origin", 1));
    expect(chunk!.byteLength).toBe(MiB);
    await expire("loose");
    await store.overview.room();
  }
  await store.jobs.remove(OWNER, id);
  expect(await store.jobs.create(fork())).toMatchObject({ outcome: "origin_missing" });
});

test("a process without an archive says so", async () => {
  const id = await endedJob();
  await moveAll();
  const without = new Store(await connected(server));
  await expect(without.jobs.get(OWNER, id)).rejects.toThrow(OutOfReach);
});

test("an open job is not moved", async () => {
  const id = await postJob(store);
  await redis.zadd(keys.unarchived, "1", keys.job(OWNER, id));
  await moveAll();
  expect(await archivedField(id)).toBeNull();
});
