// Stores and disks that fill: while ended jobs are moved away Redis does not fill, and where they
// cannot be moved nothing is lost.
import { setTimeout as sleep } from "node:timers/promises";
import { closeSync, mkdirSync, mkdtempSync, openSync, readdirSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { Archivist, type ArchivistOptions } from "../../../src/archivist.ts";
import { retrying } from "../../../src/retries.ts";
import { ArchiveDirectory } from "../../../src/store/archive/directory.ts";
import { NoRoom } from "../../../src/store/errors.ts";
import { Store } from "../../../src/store/store.ts";
import { BATCH } from "../../../src/store/archive/mover.ts";
import { keys } from "../../../src/store/keys.ts";
import { connected, OWNER } from "../support.ts";
import { MiB, redis, server, setUpStore } from "../setup.ts";
import { smallDisk } from "../../support/disk.ts";
import { compaction, directory, endedJob, everythingOf, log, mover, setUpArchive, store } from "./support.ts";

setUpStore({ maxBytes: 16 * MiB });
setUpArchive();

/** More than fit into Redis, by far. */
const JOBS = 250;
const job = () => endedJob({ bytes: 20_000 });

function archivist(
  parts: Pick<ArchivistOptions, "mover" | "compaction"> & Partial<ArchivistOptions>,
  isSafe = async () => true,
): Archivist {
  const checkFormat = () => store.format.check();
  const opened = new Archivist({ log, isSafe, isShort: async () => false, checkFormat, intervalMs: 20, ...parts });
  onTestFinished(() => opened.close());
  return opened;
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await sleep(20);
}

const allMoved = async () => (await store.overview.archive()).waiting === 0;

test("many small jobs in a row do not fill Redis while they are archived", async () => {
  archivist({ mover, compaction });
  const ids: string[] = [];
  for (let i = 0; i < JOBS; i++) {
    ids.push(await job());
    // On a busy machine the archivist has its turn late.
    await until(async () => (await store.overview.archive()).waiting < 30);
  }
  await until(allMoved);
  expect(await store.overview.room()).toMatchObject({ full: false, reserved: 0 });
  for (const id of [ids[0], ids[JOBS - 1]]) {
    const { job: found, final, rows } = await everythingOf(id);
    expect([found!.status, rows!.length]).toEqual(["succeeded", 22]);
    expect(final).not.toBeNull();
  }
});

test("without an archive the same jobs are refused at the door, and those that ended stay", async () => {
  const ids: string[] = [];
  const post = async () => {
    for (let i = 0; i < JOBS; i++) ids.push(await job());
  };
  await expect(post()).rejects.toThrow(NoRoom);
  expect(ids.length).toBeGreaterThan(50);
  expect((await everythingOf(ids[0])).job!.status).toBe("succeeded");
});

test("while the archive's disk is full, jobs stay in Redis and health says so; then they are moved", async (context) => {
  const disk = smallDisk(context, "128k");
  const archive = new ArchiveDirectory(join(disk.directory, "archive"));
  const small = new Store(await connected(server), archive);
  await redis.flushall();
  const opened = archivist(small.archiving(archive, log));
  await until(async () => (await archive.id()) !== null);
  const ids = await Promise.all([job(), job(), job()]);
  const before = await Promise.all(ids.map((id) => everythingOf(id, small)));
  await until(async () => opened.failure !== null);
  expect(opened.failure).toMatch(/stay in Redis/);
  expect(retrying()).toMatchObject([{ loop: "archive" }]);
  expect(await Promise.all(ids.map((id) => everythingOf(id, small)))).toEqual(before);
  disk.resize("4m");
  await until(allMoved);
  expect(await Promise.all(ids.map((id) => everythingOf(id, small)))).toEqual(before);
  await until(async () => opened.failure === null);
  expect(retrying()).toEqual([]);
});

test("a disk that is full before the archive begins is not filled with files by each try", async (context) => {
  const disk = smallDisk(context, "64k");
  const archive = new ArchiveDirectory(join(disk.directory, "archive"));
  mkdirSync(archive.path);
  // So much that not one more byte fits.
  const filled = openSync(join(disk.directory, "filler"), "w");
  expect(() => {
    for (;;) writeSync(filled, Buffer.alloc(4096));
  }).toThrow(/ENOSPC/);
  closeSync(filled);
  for (let i = 0; i < 3; i++) await expect(archive.claim("one")).rejects.toThrow(/ENOSPC/);
  expect(readdirSync(archive.path)).toEqual(["quarantine"]);
});

test("an api with a wrong directory says so, and keeps no other from its turn", async () => {
  const elsewhere = new ArchiveDirectory(mkdtempSync(join(tmpdir(), "rappel-archive-")));
  onTestFinished(() => rmSync(elsewhere.path, { recursive: true }));
  const wrong = archivist(store.archiving(elsewhere, log));
  await until(async () => wrong.failure !== null);
  const right = archivist({ mover, compaction });
  await job();
  await until(allMoved);
  expect(right.failure).toBeNull();
  // The other has the turn now.
  const late = archivist(store.archiving(elsewhere, log));
  await until(async () => late.failure !== null);
  expect(wrong.failure).toMatch(/out of reach/);
});

test("an api whose disk fails gives its turn to one that can work", async () => {
  const failing = store.archiving(directory, log);
  failing.mover.append = () => Promise.reject(new Error("this host cannot write"));
  const first = archivist(failing);
  await job();
  await until(async () => first.failure !== null);
  archivist({ mover, compaction });
  await until(allMoved);
});

test("an api that ends leaves its turn to another", async () => {
  const ending = archivist(store.archiving(directory, log));
  await until(async () => !(await mover.turn(1)));
  await ending.close();
  await until(async () => await mover.turn(1000));
});

test("deleted jobs get their tombstones also while jobs end all the time", async () => {
  const { moveSome } = mover;
  let moved = 0;
  mover.moveSome = async () => {
    const some = await moveSome.call(mover);
    if (moved === 0) await store.jobs.remove(OWNER, first);
    moved += some;
    await job();
    // As if this were a full batch, after which the next one is moved at once.
    return some === 0 ? 0 : BATCH;
  };
  const first = await job();
  archivist({ mover, compaction });
  await until(async () => moved > 0);
  await until(async () => (await redis.exists(keys.buried)) === 0);
});

/** Keeps the event loop busy until the test ends. */
function keepBusy(): void {
  const load = setInterval(() => {
    for (const end = performance.now() + 20; performance.now() < end;);
  }, 1);
  onTestFinished(() => clearInterval(load));
}

test("ended jobs are moved also while the process is busy all the time", async () => {
  keepBusy();
  await job();
  archivist({ mover, compaction });
  await until(allMoved);
});

test("ended jobs do not wait for a busy process if Redis is short of room", async () => {
  keepBusy();
  await job();
  archivist({ mover, compaction, isShort: async () => true, intervalMs: 3_600_000 });
  await until(allMoved);
});

test("nothing is moved while it is unclear whether these are the records of these files", async () => {
  let isSafe = false;
  archivist({ mover, compaction }, async () => isSafe);
  await job();
  await sleep(100);
  expect((await store.overview.archive()).waiting).toBe(1);
  isSafe = true;
  await until(allMoved);
});
