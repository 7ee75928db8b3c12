// What the archive does not need any more is freed, what it needs stays, and a process that dies at
// any point of this loses nothing.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { mkdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import type { CrashPoint } from "../../../src/crash-point.ts";
import { tombstone } from "../../../src/store/archive/mover.ts";
import { placeIn } from "../../../src/store/archive/entry.ts";
import { scan } from "../../../src/store/archive/segment.ts";
import { OutOfReach } from "../../../src/store/errors.ts";
import { keys } from "../../../src/store/keys.ts";
import { OWNER } from "../support.ts";
import { expire, redis, server, setUpStore, usage } from "../setup.ts";
import { compaction, directory, endedJob, everythingOf, moveAll, mover, setUpArchive, store } from "./support.ts";

/** So old is everything that was not written just now. */
const DAY_MS = 60_000;

setUpStore();
setUpArchive(DAY_MS);

const placeOf = async (id: string) => placeIn((await redis.hget(keys.job(OWNER, id), "archived"))!);
const names = async (quarantined: boolean) =>
  (await directory.segments()).filter((file) => file.quarantined === quarantined).map(({ name }) => name);

/** As if a day had passed. */
async function age(): Promise<void> {
  await mover.close();
  const past = new Date(Date.now() - 2 * DAY_MS);
  for (const { name, quarantined } of await directory.segments())
    utimesSync(join(directory.path, quarantined ? "quarantine" : "", name), past, past);
}

/** The sums in Redis are those of the records. */
async function expectSums(ids: readonly string[]): Promise<void> {
  const places = await Promise.all(ids.map(placeOf));
  const live: Record<string, number> = {};
  for (const { segment, bytes } of places) live[segment] = (live[segment] ?? 0) + bytes;
  const found = Object.entries(await redis.hgetall(keys.segments)).map(([name, bytes]) => [name, Number(bytes)]);
  expect(Object.fromEntries(found)).toEqual(live);
  const bytes = places.reduce((sum, place) => sum + place.bytes, 0);
  expect(await store.overview.archive()).toEqual({ jobs: ids.length, bytes, waiting: 0 });
  expect((await usage()).archived_bytes ?? "0").toBe(String(bytes));
}

test("a segment of which little is needed is copied, goes into quarantine and then away", async () => {
  const ids = [await endedJob(), await endedJob(), await endedJob()];
  await moveAll();
  const before = await everythingOf(ids[0]);
  const { segment } = await placeOf(ids[0]);
  await store.jobs.remove(OWNER, ids[1]);
  await age();
  await compaction.run();
  expect((await placeOf(ids[0])).segment).toBe(segment);

  await store.jobs.remove(OWNER, ids[2]);
  await mover.bury();
  await age();
  await compaction.run();
  expect((await placeOf(ids[0])).segment).not.toBe(segment);
  expect(await everythingOf(ids[0])).toEqual(before);
  expect(await names(true)).toContain(segment);
  await expectSums([ids[0]]);

  await compaction.run();
  expect(await names(true)).toContain(segment);
  await age();
  await compaction.run();
  expect(await names(true)).toEqual([]);
  expect(await everythingOf(ids[0])).toEqual(before);
});

test("a segment that nobody needs waits a day before it goes into quarantine", async () => {
  const id = await endedJob();
  await moveAll();
  const { segment } = await placeOf(id);
  await store.jobs.remove(OWNER, id);
  await mover.close();
  await compaction.run();
  expect(await names(false)).toEqual([segment]);
  await age();
  await compaction.run();
  expect(await names(true)).toEqual([segment]);
});

test("after a restore of older data of Redis, segments come back from quarantine", async () => {
  const id = await endedJob();
  await moveAll();
  const before = await everythingOf(id);
  const [record, live] = await Promise.all([redis.dumpBuffer(keys.job(OWNER, id)), redis.dumpBuffer(keys.segments)]);
  await store.jobs.remove(OWNER, id);
  await age();
  await compaction.run();
  expect(await names(true)).toHaveLength(1);
  await redis.restore(keys.job(OWNER, id), 0, record!);
  await redis.restore(keys.segments, 0, live!);
  await redis.zadd(keys.jobs(OWNER), "0", id);
  const { found: _, listed: __, ...rest } = before;
  expect(await everythingOf(id)).toMatchObject(rest);
  await age();
  await compaction.run();
  expect(await names(true)).toEqual([]);
  expect(await names(false)).toHaveLength(1);
  expect(await everythingOf(id)).toMatchObject(rest);
});

test("segments of another store stay, though no record points to them", async () => {
  await redis.set(keys.epoch, "the first");
  const id = await endedJob();
  await moveAll();
  await store.jobs.remove(OWNER, id);
  await redis.set(keys.epoch, "the second");
  await age();
  await compaction.run();
  await age();
  await compaction.run();
  expect(await names(false)).toHaveLength(1);
});

test("once the records of another store are written again, what is deleted of them is freed", async () => {
  await redis.set(keys.epoch, "the first");
  const [kept, deleted] = [await endedJob(), await endedJob({ bytes: 50_000 })];
  await moveAll();
  const before = await everythingOf(kept);
  await mover.close();
  await redis.flushall();
  await redis.set(keys.epoch, "the second");
  await mover.prove();
  const [segment] = await names(false);
  await age();
  await compaction.run();
  expect(await names(false)).toEqual([segment]);

  await store.jobs.remove(OWNER, deleted);
  await mover.bury();
  await age();
  await compaction.run();
  expect(await names(true)).toContain(segment);
  expect(await everythingOf(kept)).toEqual(before);
});

test("an earlier store that goes on writing keeps its segments, though its records were copied", async () => {
  await redis.set(keys.epoch, "the first");
  const id = await endedJob();
  await moveAll();
  await mover.close();
  await redis.flushall();
  await redis.set(keys.epoch, "the second");
  await mover.prove();
  await store.jobs.remove(OWNER, id);
  // Two services with one directory, by mistake: each believes that it is the only one.
  const other = await directory.begin("the first");
  await other.append([tombstone([["ann", "job_x"]])]);
  await other.close();
  await age();
  await compaction.run();
  expect(await names(true)).toEqual([]);
});

test.each(["", "RAPSEGM1 and not all of an epoch"])(
  "a segment that was begun and no more (%j) goes away as others do",
  async (content) => {
    const name = `${"0".repeat(26)}.segment`;
    writeFileSync(join(directory.path, name), content);
    await compaction.run();
    expect(await names(false)).toEqual([name]);
    await age();
    await compaction.run();
    expect(await names(true)).toEqual([name]);
    await age();
    await compaction.run();
    expect(await directory.segments()).toEqual([]);
  },
);

test("a segment that cannot be read is named, and keeps no other from being freed", async () => {
  const lost = await endedJob();
  await moveAll();
  const { segment } = await placeOf(lost);
  await mover.close();
  const [kept, deleted] = [await endedJob(), await endedJob({ bytes: 50_000 })];
  await moveAll();
  const other = (await placeOf(kept)).segment;
  await store.jobs.remove(OWNER, deleted);
  await age();
  // No disk fails here, but where a directory lies nothing can be read either.
  rmSync(join(directory.path, segment));
  mkdirSync(join(directory.path, segment));
  expect(await compaction.run()).toEqual([segment]);
  expect(await names(true)).toEqual([other]);
  await expect(store.jobs.get(OWNER, lost)).rejects.toThrow(OutOfReach);
  expect((await store.jobs.get(OWNER, kept))!.status).toBe("succeeded");
});

test("segments that are missing though records point to them are named", async () => {
  const id = await endedJob();
  await moveAll();
  const { segment } = await placeOf(id);
  await mover.close();
  expect(await compaction.run()).toEqual([]);
  await directory.quarantine(segment);
  await directory.remove(segment);
  expect(await compaction.run()).toEqual([segment]);
});

test("the tombstone of a deleted job outlives the segments that are older than it", async () => {
  const [kept, deleted] = [await endedJob({ bytes: 50_000 }), await endedJob()];
  await moveAll();
  await mover.close();
  await store.jobs.remove(OWNER, deleted);
  await mover.bury();
  const tombs = (await names(false)).at(-1)!;
  await age();
  await compaction.run();
  expect(await names(true)).toEqual([tombs]);
  const copied = (await names(false)).at(-1)!;
  await directory.read(copied, async (read) => {
    const found: unknown[] = [];
    for await (const one of scan(copied, read)) found.push("head" in one && one.head.about);
    expect(found).toEqual([{ deleted: [[OWNER, deleted]] }]);
  });
  expect(await store.jobs.get(OWNER, kept)).not.toBeNull();
});

test("tombstones beside a damaged entry are not copied again and again", async () => {
  const [kept, deleted] = [await endedJob({ bytes: 50_000 }), await endedJob()];
  await moveAll();
  await mover.close();
  const second = await endedJob({ bytes: 20_000 });
  const later = await endedJob();
  await moveAll();
  const { segment, offset } = await placeOf(later);
  await store.jobs.remove(OWNER, second);
  await store.jobs.remove(OWNER, deleted);
  await mover.bury();
  await age();
  const path = join(directory.path, segment);
  const bytes = readFileSync(path);
  bytes[offset + 60] ^= 1;
  writeFileSync(path, bytes);
  await age();
  for (let i = 0; i < 3; i++) {
    await compaction.run();
    await mover.close();
  }
  const found = await Promise.all((await names(false)).map(tombstonesIn));
  expect(found.reduce((sum, count) => sum + count, 0)).toBe(1);
  expect((await placeOf(later)).segment).toBe(segment);
  expect(await store.jobs.get(OWNER, kept)).not.toBeNull();
});

async function tombstonesIn(segment: string): Promise<number> {
  return await directory.read(segment, async (read) => {
    let count = 0;
    for await (const one of scan(segment, read)) if ("head" in one && "deleted" in (one.head.about as object)) count++;
    return count;
  });
}

/** Lets another process do the archivist's work until it gets to the crash point. */
async function killed(point: CrashPoint): Promise<NodeJS.Signals | null> {
  const settings = { REDIS: server.url, ARCHIVE: directory.path, DAY_MS: String(DAY_MS), RAPPEL_CRASH_AT: point };
  const program = fileURLToPath(new URL("process.ts", import.meta.url));
  const env = { ...process.env, ...settings };
  const child = spawn(process.execPath, [program], { env, stdio: ["ignore", "ignore", "inherit"] });
  const [, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
  return signal;
}

test.each([
  "archive-written",
  "archive-synced",
  "archive-verified",
  "archive-pointed",
  "archive-buried",
  "archive-moved",
  "archive-quarantined",
] satisfies CrashPoint[])("a process that is killed at %s loses nothing, and the next one goes on", async (point) => {
  const old = [await endedJob(), await endedJob(), await endedJob()];
  await moveAll();
  for (const id of old.splice(1)) await store.jobs.remove(OWNER, id);
  await age();
  const fresh = [await endedJob(), await endedJob({ bytes: 100_000 })];
  const ids = [...old, ...fresh];
  const before = await Promise.all(ids.map((id) => everythingOf(id)));
  const all = async () => await Promise.all(ids.map((id) => everythingOf(id)));
  expect(await killed(point)).toBe("SIGKILL");
  expect(await all()).toEqual(before);
  await moveAll();
  await mover.bury();
  await age();
  await compaction.run();
  await expire("loose");
  await store.overview.room();
  expect(await all()).toEqual(before);
  await expectSums(ids);
  expect(await redis.exists(keys.buried)).toBe(0);
});
