// Starts a private Redis server process and waits until it answers.
import { spawn, type ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdir, open, rename } from "node:fs/promises";
import { join } from "node:path";
import { Redis } from "ioredis";
import { setTimeout as sleep } from "node:timers/promises";
import { StartFailure } from "../start-failure.ts";
import { lockDirectory, type KernelLock } from "./kernel-lock.ts";
import { environmentOf, type RedisServer } from "./server.ts";

/**
 * The longest path that fits `sockaddr_un.sun_path` with its closing zero. It is shorter on the
 * BSDs and macOS.
 */
const MAX_SOCKET_PATH_BYTES = process.platform === "linux" ? 107 : 103;

const LOG_FILE = "redis.log";
const LOCK_TRIES = 20;
const LOCK_RETRY_MS = 100;

/**
 * The server cannot write its data because the disk is full. It may succeed when there is room
 * again.
 */
export class DiskFull extends StartFailure {
  constructor(directory: string, said: string) {
    super(`Redis cannot write its data to ${directory} (${said}): make room on that disk.`);
  }
}

export interface SpawnSettings {
  /** Where its data and its log are kept. */
  readonly directory: string;
  readonly socket: string;
  readonly maxBytes: number;
  /** embedded.ts explains what the service uses. */
  readonly appendfsync: "always" | "everysec" | "no";
  /** Whether the server outlives a Ctrl-C that the terminal sends to the whole process group. */
  readonly detached: boolean;
  readonly extraArguments?: readonly string[];
}

/** @throws StartFailure if the path is too long for a socket. */
export function assertSocketPath(path: string): void {
  const bytes = Buffer.byteLength(path);
  if (bytes <= MAX_SOCKET_PATH_BYTES) return;
  throw new StartFailure(
    `The path of Redis' socket, ${path}, is ${bytes} bytes long and the system allows ${MAX_SOCKET_PATH_BYTES}: set TMPDIR to a shorter directory.`,
  );
}

/**
 * @throws StartFailure if the server ends instead of becoming ready. The sentence says why, and
 * what to type if its data are damaged.
 */
export async function spawnServer(server: RedisServer, settings: SpawnSettings): Promise<ChildProcess> {
  assertSocketPath(settings.socket);
  await mkdir(settings.directory, { recursive: true });
  const lock = await lockFor(settings.directory);
  const logFile = join(settings.directory, LOG_FILE);
  // Keeps the log of this start and of the one before, so that it cannot grow for years.
  await rename(logFile, `${logFile}.1`).catch(() => undefined);
  const log = await open(logFile, "w").catch((error: unknown) => {
    lock.release();
    throw error;
  });
  const child = spawn(server.command, serverArguments(settings), {
    env: environmentOf(server),
    // The server inherits the lock and holds it as long as it lives, even if this process dies.
    stdio: ["ignore", log.fd, log.fd, lock.descriptor],
    detached: settings.detached,
  });
  lock.release();
  const ended = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, signal) => resolve(signal === null ? `exit code ${code}` : `killed by ${signal}`));
  });
  await log.close();
  const failure = await untilReady(settings.socket, ended);
  if (failure === null) return child;
  throw whyEnded(server, settings.directory, failure);
}

/**
 * Takes the lock on the directory: two servers that write to it would destroy its data.
 * @throws StartFailure if another server has it, perhaps in another container, where we cannot see
 * it
 */
async function lockFor(directory: string): Promise<KernelLock> {
  for (let tries = 0; ; tries++) {
    const lock = lockDirectory(directory);
    if (lock.taken !== false) return lock;
    lock.release();
    if (tries === LOCK_TRIES) {
      throw new StartFailure(
        `Another Redis still writes to ${directory}, perhaps in another container of this machine: end it first, or set RAPPEL_DATA_DIR to another directory.`,
      );
    }
    // The server may have died while a child of it rewrote its file. The child takes a moment to
    // notice.
    await sleep(LOCK_RETRY_MS);
  }
}

function serverArguments(settings: SpawnSettings): string[] {
  const options: Record<string, string> = {
    dir: settings.directory,
    port: "0",
    unixsocket: settings.socket,
    unixsocketperm: "700",
    appendonly: "yes",
    appendfsync: settings.appendfsync,
    save: "",
    maxmemory: String(settings.maxBytes),
    "maxmemory-policy": "noeviction",
  };
  return [
    ...Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]),
    ...(settings.extraArguments ?? []),
  ];
}

/**
 * Waits until the server answers, and returns null, or how it ended. A server with much data
 * answers LOADING for a while, so there is no time limit while it lives.
 */
async function untilReady(socket: string, ended: Promise<string>): Promise<string | null> {
  let over = false;
  void ended.then(() => (over = true));
  const probe = new Redis(socket, { retryStrategy: () => (over ? null : 5), maxRetriesPerRequest: null });
  probe.on("error", () => undefined);
  try {
    await probe.ping();
    return null;
  } catch {
    // The connection gave up, which it does only after its end.
    return await ended;
  } finally {
    probe.disconnect();
  }
}

/** Why the server died, from its log: that the disk is full, or else the last line. */
export function lastLogLine(directory: string): string {
  const lines = logLines(directory);
  return lines.findLast(isAboutFullDisk) ?? lines.at(-1) ?? "it wrote nothing";
}

function isAboutFullDisk(line: string): boolean {
  return /No space left on device|Disk quota exceeded|Short write while writing to the AOF/.test(line);
}

function logLines(directory: string): string[] {
  let log: string;
  try {
    log = readFileSync(join(directory, LOG_FILE), "utf8");
  } catch {
    return [];
  }
  const lines = log.split("\n").map((line) => line.replace(/^\S+ \d+ \w+ \d+ [\d:.]+ [.\-*#] /, "").trim());
  return lines.filter((line) => line !== "");
}

function whyEnded(server: RedisServer, directory: string, how: string): StartFailure {
  const lines = logLines(directory);
  const full = lines.findLast(isAboutFullDisk);
  if (full !== undefined) return new DiskFull(directory, full);
  const damage = lines.find(
    (line) =>
      /append only file|AOF (manifest|file)/i.test(line) &&
      /bad|unexpected|error|invalid|missing|exist|open/i.test(line),
  );
  if (damage !== undefined) {
    const manifest = join(directory, "appendonlydir/appendonly.aof.manifest");
    return new StartFailure(
      `Redis' data in ${directory} are damaged (${damage.split(/[.:] /)[0]}): copy that directory away, then repair it with: ${repairCommand(server)} --fix ${manifest}`,
    );
  }
  const last = lines.at(-1) ?? "no message";
  return new StartFailure(`Redis (${server.command}) did not start (${how}); it said: ${last}`);
}

function repairCommand({ command, libraryPath }: RedisServer): string {
  const program = command.replace(/server$/, "check-aof");
  return libraryPath === null ? program : `LD_LIBRARY_PATH=${libraryPath} ${program}`;
}
