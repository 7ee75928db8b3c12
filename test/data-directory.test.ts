import { execFile } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { pino } from "pino";
import { beforeEach, afterEach, expect, test } from "vitest";
import { prepareDataDirectory } from "../src/data-directory.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "rappel-directory-"));
});
afterEach(() => rmSync(root, { recursive: true }));

/** Returns what was said. */
function prepare(directory: string): Record<string, unknown>[] {
  const said: Record<string, unknown>[] = [];
  const write = (line: string) => void said.push(JSON.parse(line) as Record<string, unknown>);
  prepareDataDirectory(directory, pino({ level: "warn" }, { write }));
  return said;
}

const modeOf = (path: string) => (statSync(path).mode & 0o7777).toString(8);

/** With what an earlier version left. */
function openDirectory(): string {
  const directory = join(root, "data");
  mkdirSync(join(directory, "redis/appendonlydir"), { recursive: true });
  for (const made of ["tools/redis", "datasets", "cache"]) mkdirSync(join(directory, made), { recursive: true });
  const files = ["redis.json", "rappel.lock", "redis/appendonlydir/aof", "datasets/a.csv", "cache/a.columns"];
  for (const file of [...files, "tools/redis/server", "theirs.txt"]) writeFileSync(join(directory, file), "");
  chmodSync(join(directory, "tools/redis/server"), 0o755);
  chmodSync(directory, 0o755);
  return directory;
}

test("a directory that is made is private", () => {
  expect(prepare(join(root, "a/b"))).toEqual([]);
  expect(modeOf(join(root, "a/b"))).toBe("700");
});

test("an existing directory becomes private, with everything that the service made in it and nothing else", () => {
  const directory = openDirectory();
  const outside = join(root, "outside");
  writeFileSync(outside, "");
  symlinkSync(outside, join(directory, "cache/link"));
  const theirs = modeOf(join(directory, "theirs.txt"));
  expect(prepare(directory)).toEqual([]);
  expect(modeOf(directory)).toBe("700");
  expect(modeOf(join(directory, "redis/appendonlydir"))).toBe("700");
  expect(modeOf(join(directory, "redis/appendonlydir/aof"))).toBe("600");
  for (const file of ["redis.json", "rappel.lock", "datasets/a.csv", "cache/a.columns"])
    expect([file, modeOf(join(directory, file))]).toEqual([file, "600"]);
  for (const made of ["datasets", "cache"]) expect(modeOf(join(directory, made))).toBe("700");
  expect(modeOf(join(directory, "tools/redis/server"))).toBe("700");
  expect(modeOf(join(directory, "theirs.txt"))).toBe(theirs);
  expect(modeOf(outside)).toBe(theirs);
});

test("a directory that everybody may use stays open, with a warning", () => {
  chmodSync(root, 0o1777);
  expect(prepare(root)).toMatchObject([{ open: 1, first: root, msg: expect.stringContaining("others may read") }]);
  expect(modeOf(root)).toBe("1777");
});

const isRoot = process.getuid?.() === 0;
if (!isRoot) console.warn("skipped: only root can make files that belong to another user");
test.skipIf(!isRoot)("a directory of another user stays as it is, with one warning", () => {
  const directory = openDirectory();
  for (const file of ["redis/appendonlydir/aof", "redis.json"]) {
    chmodSync(join(directory, file), 0o644);
    chownSync(join(directory, file), 65534, 65534);
  }
  expect(prepare(directory)).toMatchObject([{ open: 2, first: join(directory, "redis/appendonlydir/aof") }]);
  expect(modeOf(join(directory, "redis.json"))).toBe("644");
});

test.skipIf(!isRoot)("a directory that only another user can read is reported without a stack", async () => {
  const directory = openDirectory();
  chmodSync(join(directory, "redis"), 0o700);
  chmodSync(root, 0o755);
  chownSync(directory, 65534, 65534);
  const program = `
    import { prepareDataDirectory } from ${JSON.stringify(new URL("../src/data-directory.ts", import.meta.url).href)};
    import { StartFailure } from ${JSON.stringify(new URL("../src/start-failure.ts", import.meta.url).href)};
    process.setuid(65534);
    try {
      prepareDataDirectory(${JSON.stringify(directory)}, console);
    } catch (error) {
      console.log(error instanceof StartFailure, error.message);
    }`;
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", program]);
  expect(stdout).toContain(`true The service made ${join(directory, "redis")} as another user`);
});
