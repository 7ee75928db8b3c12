import { fork } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { acquireLock, LockHeld } from "../../src/redis/lock.ts";
import { identify, isRunning } from "../../src/redis/process.ts";

let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "rappel-lock-"));
  path = join(directory, "lock");
});
afterEach(() => rmSync(directory, { recursive: true }));

test("a lock has one holder, is named after it, and leaves nothing behind", () => {
  const release = acquireLock(path);
  expect(JSON.parse(readFileSync(path, "utf8"))).toEqual(identify(process.pid));
  expect(() => acquireLock(path)).toThrow(LockHeld);
  release();
  acquireLock(path)();
  expect(readdirSync(directory)).toEqual([]);
});

test.each([
  ["a process that does not run", JSON.stringify({ pid: 2 ** 22 + 1, started: "then" })],
  ["a process whose id is used again", JSON.stringify({ pid: process.pid, started: "another boot-1" })],
  ["nobody, because a power cut emptied the file", ""],
])("a lock held by %s is taken over", (_holder, content) => {
  writeFileSync(path, content);
  acquireLock(path)();
  expect(readdirSync(directory)).toEqual([]);
});

test("a lock that someone else holds by now is not given back", () => {
  const release = acquireLock(path);
  writeFileSync(path, JSON.stringify({ pid: 1, started: "theirs" }));
  release();
  expect(existsSync(path)).toBe(true);
});

test("of many processes that find the same dead holder exactly one gets the lock", async () => {
  writeFileSync(path, JSON.stringify({ pid: 2 ** 22 + 1, started: "then" }));
  const rivals = Array.from({ length: 6 }, () => fork(new URL("lock-rival.ts", import.meta.url), [path]));
  // All are up before the first may try.
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

test("a process that ended does not run", async () => {
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
