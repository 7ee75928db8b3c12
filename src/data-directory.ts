/**
 * The directory of everything that the service keeps. Nobody else may read what people upload and
 * what Redis holds: directories have mode 0700 and files 0600. New files get that from the process'
 * umask (main.ts). Those that exist already are changed here.
 */
import {
  accessSync,
  chmodSync,
  constants,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmdirSync,
  statSync,
} from "node:fs";
import { dirname, join } from "node:path";
import type { Logger } from "./log.ts";
import { StartFailure } from "./start-failure.ts";

/** What the service makes in the directory. Other things in it are not changed. */
const ENTRIES = ["datasets", "cache", "archive", "tools", "redis", "redis.json", "rappel.lock", "epoch"];

const MODE_OF_OTHERS = 0o077;
const STICKY_BIT = 0o1000;

/** @throws StartFailure if there is no directory that this process can use */
export function prepareDataDirectory(directory: string, log: Logger): void {
  try {
    makeDirectory(directory);
    accessSync(directory, constants.R_OK | constants.W_OK | constants.X_OK);
    rmdirSync(mkdtempSync(join(directory, "try-")));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // A full disk is no fault of the directory, and has its own sentence (disk-fault.ts).
    if (code === "ENOSPC" || code === "EDQUOT") throw error;
    throw new StartFailure(
      `RAPPEL_DATA_DIR is ${JSON.stringify(directory)}, which must be a directory this user can write to (${code}).`,
    );
  }
  const open = [...tighten(directory), ...ENTRIES.flatMap((name) => tightenAll(join(directory, name)))];
  if (open.length === 0) return;
  log.warn(
    { directory, open: open.length, first: open[0] },
    "others may read the data directory, or files in it, and the service may not change that: make them this user's, with mode 0700 (0600)",
  );
}

/**
 * Makes a directory and those above it. Node's own recursion never ends where nothing can be made
 * (`/proc/x`), and blocks the process.
 */
function makeDirectory(path: string): void {
  if (lstatSync(path, { throwIfNoEntry: false })?.isDirectory()) return;
  if (dirname(path) !== path) makeDirectory(dirname(path));
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    // Another process may have made it meanwhile.
    if ((error as NodeJS.ErrnoException).code !== "EEXIST" || !statSync(path).isDirectory()) throw error;
  }
}

/** Returns the paths that are still open to others. */
function tightenAll(path: string): string[] {
  const open = tighten(path);
  if (!lstatSync(path, { throwIfNoEntry: false })?.isDirectory()) return open;
  // One by one, because there may be a hundred thousand.
  for (const name of namesIn(path)) for (const one of tightenAll(join(path, name))) open.push(one);
  return open;
}

function namesIn(path: string): string[] {
  try {
    return readdirSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new StartFailure(
      `The service made ${path} as another user, and this one may not read it (${code}): make it this user's ("chown -R"), or set RAPPEL_DATA_DIR to another directory.`,
    );
  }
}

function tighten(path: string): string[] {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined || stats.isSymbolicLink() || (stats.mode & MODE_OF_OTHERS) === 0) return [];
  // A shared directory, such as the one for temporary files, must stay open.
  if (stats.uid !== process.getuid?.() || (stats.mode & STICKY_BIT) !== 0) return [path];
  try {
    chmodSync(path, stats.mode & ~MODE_OF_OTHERS & 0o7777);
    return [];
  } catch {
    // Some file systems (FAT, some network shares) have no modes of their own.
    return [path];
  }
}
