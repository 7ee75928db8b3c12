// The directory of the embedded Redis' data, and what lies beside it.
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { prepareFiles } from "../../src/redis/files.ts";

let dataDirectory: string;
beforeEach(() => {
  dataDirectory = mkdtempSync(join(tmpdir(), "rappel-files-"));
});
afterEach(() => {
  rmSync(dataDirectory, { recursive: true });
});

test("a server on another host that still writes does not write to files of the new holder", async () => {
  const directory = join(dataDirectory, "files");
  mkdirSync(join(directory, "appendonlydir"), { recursive: true });
  const file = join(directory, "appendonlydir/file");
  writeFileSync(file, "before");
  const theirs = openSync(file, "a");
  await prepareFiles(directory, true);
  writeSync(theirs, " and after");
  closeSync(theirs);
  expect(readFileSync(file, "utf8")).toBe("before");
  // What a start leaves that was killed between the two renames.
  renameSync(directory, `${directory}.copy`);
  await prepareFiles(directory, false);
  expect(readFileSync(file, "utf8")).toBe("before");
  expect(readdirSync(dataDirectory).filter((name) => name.startsWith("files"))).toEqual(["files"]);
});

test("what an operator put beside the files stays, also when they are replaced by copies", async () => {
  const directory = join(dataDirectory, "files");
  const [old, copy] = [`${directory}.old`, `${directory}.copy`];
  for (const path of [directory, old, copy]) {
    mkdirSync(path);
    writeFileSync(join(path, "file"), path);
  }
  await prepareFiles(directory, false);
  expect([old, copy].map((path) => readFileSync(join(path, "file"), "utf8"))).toEqual([old, copy]);
  await expect(prepareFiles(directory, true)).rejects.toThrow(/files\.copy is in the way/);
  renameSync(copy, `${directory}.mine`);
  await prepareFiles(directory, true);
  // What a start leaves that was killed while it copied.
  mkdirSync(join(copy, "replaced"), { recursive: true });
  await prepareFiles(directory, true);
  expect(readdirSync(dataDirectory).filter((name) => name.startsWith("files"))).toEqual([
    "files",
    "files.mine",
    "files.old",
  ]);
  for (const path of [old, directory]) expect(readFileSync(join(path, "file"), "utf8")).toBe(path);
  expect(readdirSync(directory)).toEqual(["file"]);
});
