// A Redis server program: what it is, and what it needs to run.
import { execFile } from "node:child_process";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

/** The oldest major version whose scripts, streams and multi-part AOF the service relies on. */
export const MIN_MAJOR = 7;

/** A server program that ran `--version`, and the environment it needs to run. */
export interface RedisServer {
  readonly command: string;
  readonly version: string;
  /** Where the libraries of a fetched server are; null for a server that the system installed. */
  readonly libraryPath: string | null;
}

/** The environment a fetched server runs in: the system's, with its own libraries first. */
export function environmentOf({ libraryPath }: RedisServer): NodeJS.ProcessEnv {
  return libraryPath === null ? process.env : { ...process.env, LD_LIBRARY_PATH: libraryPath };
}

/** The program at `command` and its version, or null if it does not run. */
export async function probe(command: string, libraryPath: string | null): Promise<RedisServer | null> {
  const env = environmentOf({ command, libraryPath, version: "" });
  const answer = await promisify(execFile)(command, ["--version"], { env, timeout: 10_000 }).catch(() => null);
  const version = answer?.stdout.match(/\bv=(\d+\.\d+\.\d+)/)?.[1];
  return version === undefined ? null : { command, libraryPath, version };
}

/** The server in a directory of unpacked packages, or null if none there runs. */
export async function unpackedServer(root: string): Promise<RedisServer | null> {
  const libraries = join(root, "usr/lib");
  const folders = await readdir(libraries, { withFileTypes: true }).catch(() => []);
  const paths = folders.filter((entry) => entry.isDirectory()).map((entry) => join(libraries, entry.name));
  return await probe(join(root, "usr/bin/redis-server"), paths.join(":"));
}
