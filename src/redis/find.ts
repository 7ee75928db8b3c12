// Finds a Redis server program: on PATH, else among the service's own tools. If there is none,
// fetches one, or says in a sentence what to type.
import { access, constants } from "node:fs/promises";
import { delimiter, join } from "node:path";
import type { Logger } from "../log.ts";
import { StartFailure } from "../start-failure.ts";
import { installFromDebian } from "./install.ts";
import { MIN_MAJOR, probe, unpackedServer, type RedisServer } from "./server.ts";

export interface FindOptions {
  /** Where a fetched server is kept. */
  readonly toolsDirectory: string;
  readonly install: "auto" | "never";
  readonly log: Logger;
  /** The directories to search, as in the environment variable PATH. */
  readonly path?: string;
}

/**
 * @throws StartFailure that names the command to type, if there is no server and none can be
 * fetched.
 */
export async function findServer({
  toolsDirectory,
  install,
  log,
  path = process.env.PATH ?? "",
}: FindOptions): Promise<RedisServer> {
  const tooOld: RedisServer[] = [];
  for (const name of ["redis-server", "valkey-server"]) {
    const command = await which(name, path);
    const server = command && (await probe(command, null));
    if (!server) continue;
    if (isRecent(server)) return server;
    tooOld.push(server);
  }
  const kept = await unpackedServer(join(toolsDirectory, "redis"));
  if (kept !== null && isRecent(kept)) return kept;

  const refusal = await whyNone(tooOld, path);
  if (install === "never") throw new StartFailure(`${refusal} (RAPPEL_INSTALL=never forbids fetching one).`);
  if (!(await which("apt-get", path)) || !(await which("dpkg-deb", path))) throw new StartFailure(`${refusal}.`);
  log.info({ directory: toolsDirectory }, "no Redis 7 on PATH: fetching one with apt, privately and without root");
  const fetched = await installFromDebian(toolsDirectory, path).catch((error: Error) => {
    throw new StartFailure(`${refusal} (fetching one privately failed: ${error.message}).`);
  });
  if (!isRecent(fetched)) {
    throw new StartFailure(`${refusal} (this system's packages only have Redis ${fetched.version}).`);
  }
  log.info({ command: fetched.command, version: fetched.version }, "Redis fetched");
  return fetched;
}

async function which(name: string, path: string): Promise<string | null> {
  for (const directory of path.split(delimiter).filter(Boolean)) {
    const file = join(directory, name);
    const executable = await access(file, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (executable) return file;
  }
  return null;
}

function isRecent(server: RedisServer): boolean {
  return Number.parseInt(server.version, 10) >= MIN_MAJOR;
}

const packageManagers: [program: string, command: string][] = [
  ["apt-get", "sudo apt-get install redis-server"],
  ["dnf", "sudo dnf install valkey"],
  ["apk", "sudo apk add redis"],
  ["pacman", "sudo pacman -S valkey"],
  ["zypper", "sudo zypper install valkey"],
  ["brew", "brew install redis"],
];

async function whyNone(tooOld: RedisServer[], path: string): Promise<string> {
  const found = tooOld.map(({ command, version }) => `${command} is ${version}`).join(", ");
  const problem = `Rappel needs Redis ${MIN_MAJOR} or later (or Valkey) and ${found || "found none on PATH"}`;
  for (const [program, command] of packageManagers) {
    if (await which(program, path)) return `${problem}: type "${command}", or set REDIS_URL to a running one`;
  }
  return `${problem}: install it, or set REDIS_URL to a running one`;
}
