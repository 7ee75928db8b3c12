import { fork } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { acquireLock, LockHeld, type Lock } from "../../src/redis/lock.ts";
import { here, identify, isRunning } from "../../src/redis/process.ts";

let directory: string;
let path: string;
const locks: Lock[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "rappel-lock-"));
  path = join(directory, "lock");
  vi.unstubAllEnvs();
});
afterEach(async () => {
  for (const lock of locks.splice(0)) await lock.release();
  rmSync(directory, { recursive: true });
});

async function acquire({ staleMs = 1, onLost = () => undefined as void, onWatching = () => undefined as void } = {}) {
  const log = pino({ level: "warn" }, { write: onWatching });
  const lock = await acquireLock(path, { log, onLost, staleMs });
  locks.push(lock);
  return lock;
}

async function acquireAndRelease(): Promise<{ mayReturn: boolean }> {
  const lock = await acquire();
  await locks.pop()!.release();
  return lock;
}

function holder(): Record<string, unknown> {
  return JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
}

const dead = { pid: 2 ** 22 + 1, started: "then", place: here };
const foreign = { pid: 1, started: "4711-12", place: "4711 pid:[1]", host: "other", token: "theirs" };

test("a lock has one holder, is named after it, and leaves nothing behind", async () => {
  const lock = await acquire();
  expect(lock.mayReturn).toBe(false);
  expect(holder()).toMatchObject({ ...identify(process.pid), token: expect.any(String) });
  await expect(acquire()).rejects.toThrow(LockHeld);
  await locks.pop()!.release();
  await acquireAndRelease();
  expect(readdirSync(directory)).toEqual([]);
});

test.each([
  ["a process that does not run", JSON.stringify(dead), false],
  ["a process whose id is used again", JSON.stringify({ pid: process.pid, started: "then", place: here }), false],
  ["another version, in a process that does not run", JSON.stringify({ ...dead, place: undefined }), true],
  ["a process of another machine that stands still", JSON.stringify(foreign), true],
  ["nobody, because a power cut emptied the file", "", true],
])("a lock held by %s is taken over", async (_holder, content, mayReturn) => {
  writeFileSync(path, content);
  expect((await acquireAndRelease()).mayReturn).toBe(mayReturn);
  expect(readdirSync(directory)).toEqual([]);
});

test.each([
  ["by the kernel's word", process.env.PATH!],
  ["by its process id, where the system has no flock", "/nowhere"],
])("a running process keeps its lock, %s", async (_how, searched) => {
  vi.stubEnv("PATH", searched);
  await acquire();
  await expect(acquire()).rejects.toMatchObject({ pid: process.pid, host: null });
});

test("a process of an earlier version keeps its lock", async () => {
  const { pid, started } = identify(process.pid)!;
  writeFileSync(path, JSON.stringify({ pid, started }));
  await expect(acquire()).rejects.toThrow(LockHeld);
});

test("a holder on another host keeps its lock as long as its heartbeat changes", async () => {
  let beats = 0;
  writeFileSync(path, JSON.stringify({ ...foreign, beats }));
  const file = openSync(path, "r+");
  const beating = setInterval(() => writeSync(file, JSON.stringify({ ...foreign, beats: ++beats }), 0), 5);
  onTestFinished(() => {
    clearInterval(beating);
    closeSync(file);
  });
  await expect(acquire({ staleMs: 60_000 })).rejects.toMatchObject({ pid: 1, host: "other" });
});

test("a holder writes its heartbeat", async () => {
  await acquire();
  const before = holder();
  await expect.poll(holder, { timeout: 10_000 }).toEqual({ ...before, beats: 2 });
});

test("a holder whose lock was taken is told so, and leaves the lock alone", async () => {
  const { promise: lost, resolve: onLost } = Promise.withResolvers<void>();
  await acquire({ onLost });
  // A new file, as each process that takes a lock makes one.
  rmSync(path);
  writeFileSync(path, JSON.stringify(foreign));
  await lost;
  await locks.pop()!.release();
  expect(holder()).toEqual(foreign);
});

test("a lock that somebody removed by hand is made again", async () => {
  await acquire();
  const { token } = holder();
  rmSync(path);
  await expect.poll(() => existsSync(path) && holder().token, { timeout: 10_000 }).toBe(token);
});

test.each([
  ["is a directory", () => mkdirSync(path), "(EISDIR)"],
  ["leads nowhere", () => symlinkSync(join(directory, "gone"), path), "(it leads nowhere)"],
])("a lock that %s stops the start with a sentence", async (_what, make, why) => {
  make();
  await expect(acquire()).rejects.toThrow(
    `The lock ${path} cannot be read ${why}: make sure that no service uses this data directory, then remove it.`,
  );
});

test("a process looks again before it removes a dead holder's lock, and leaves a new holder's lock alone", async () => {
  writeFileSync(path, JSON.stringify(dead));
  // A process elsewhere died while it removed the lock. Its claim is watched, and meanwhile a
  // third process gets the lock.
  writeFileSync(`${path}.${dead.pid}-${dead.started}`, JSON.stringify(foreign));
  const third = { ...identify(process.pid), token: "third" };
  const onWatching = () => {
    rmSync(path);
    writeFileSync(path, JSON.stringify(third));
  };
  await expect(acquire({ onWatching })).rejects.toThrow(LockHeld);
  expect(holder()).toEqual(third);
});

test("if many processes find the same dead holder, exactly one gets the lock", async () => {
  writeFileSync(path, JSON.stringify(dead));
  // The kernel's lock is not used, because it would decide alone.
  const env = { ...process.env, PATH: "/nowhere" };
  const rivals = Array.from({ length: 6 }, () => fork(new URL("lock-rival.ts", import.meta.url), [path], { env }));
  // All run before the first may try.
  await Promise.all(rivals.map((rival) => once(rival, "message")));
  const answers = rivals.map((rival) => once(rival, "message"));
  for (const rival of rivals) rival.send("go");
  const outcomes = (await Promise.all(answers)).map(([outcome]) => outcome as string);
  const exits = rivals.map((rival) => once(rival, "exit"));
  for (const rival of rivals) rival.send("end");
  await Promise.all(exits);
  expect(outcomes.filter((outcome) => outcome === "acquired")).toHaveLength(1);
  expect(outcomes.filter((outcome) => outcome === "LockHeld")).toHaveLength(5);
});

test("a process that has ended does not count as running", async () => {
  const child = fork(new URL("lock-rival.ts", import.meta.url), [path]);
  await once(child, "message");
  const identity = identify(child.pid!)!;
  expect(isRunning(identity)).toBe(true);
  const exit = once(child, "exit");
  child.send("go");
  child.send("end");
  await exit;
  expect(isRunning(identity)).toBe(false);
});
