// The embedded Redis: a real server process that belongs to one data directory.
//
// A start finds one of three situations. If nothing was left behind, a server is spawned. If an
// earlier service was killed and its server still runs, the server is adopted, provided it says
// that its `dir` is ours. If that server runs but cannot be reached any more (someone cleaned the
// temporary directory), it is ended, and a new server reads its data. While the service runs, a
// server that dies is started again at the same socket, so that every client finds it by
// reconnecting.
//
// Two servers never write to the same files. The lock on the data directory (lock.ts) keeps a
// second service out. The record of the server (`redis.json`) is written before the server starts,
// and names it to the next service. The server itself holds the kernel's lock on its directory, so
// that a server in another container is found too. One case is left: a holder on another machine
// stood still for so long that it lost the lock, and then wakes. Within a second it notices, and
// kills its server. Until then that server writes to files that nobody uses any more, because the
// new holder works on a copy. What it accepted in this second is lost.
//
// We use `appendfsync always`, because an answer of the API and a committed checkpoint should
// survive a power cut. What it costs was measured on a virtual disk with an fsync of 0.3 ms. A
// single small write took 0.34 ms instead of 0.07 ms. 16 clients at once made 18,000 to 25,000
// writes a second instead of 42,000 to 49,000 (a group of them shares one fsync). Checkpoints in
// chunks of 4 MiB reached 170 instead of 320 MiB a second. That is far more than jobs need: they
// write a few times a second, and upload while they train.
//
// The socket is in a short private directory, because the path of a data directory may be too long
// for a socket. There is no TCP port. The server has its own process group, so that Ctrl-C in a
// terminal reaches only the service, which ends the server last.
import { mkdirSync, mkdtempSync, realpathSync, rmdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { diskFault } from "../disk-fault.ts";
import type { Logger } from "../log.ts";
import { Retry } from "../retries.ts";
import { StartFailure } from "../start-failure.ts";
import { prepareFiles } from "./files.ts";
import { findServer } from "./find.ts";
import {
  adjustServer,
  askServer,
  endServer,
  killServer,
  readRecord,
  writeRecord,
  type ServerRecord,
} from "./leftover.ts";
import { acquireLock, LockHeld, type Lock, type LockOptions } from "./lock.ts";
import { here, identify, isRunning, type ProcessIdentity } from "./process.ts";
import type { RedisServer } from "./server.ts";
import { DiskFull, lastLogLine, spawnServer } from "./spawn.ts";

const POLL_MS = 100;
/** A server that lived this long did not die because of its start. The next one need not wait. */
const STABLE_MS = 60_000;
const MAX_RESPAWN_DELAY_MS = 5000;

export interface EmbeddedOptions {
  readonly dataDirectory: string;
  readonly install: "auto" | "never";
  readonly maxBytes: number;
  readonly log: Logger;
  /**
   * Called once if the server died and cannot be started again. Nothing will answer at the URL any
   * more.
   */
  readonly onLost: (failure: Error) => void;
}

/**
 * @throws StartFailure if the data directory is in use, no server program is found, or it does not
 * start with these data.
 */
export async function openEmbedded(options: EmbeddedOptions): Promise<EmbeddedRedis> {
  const { dataDirectory, install, log } = options;
  const { promise: lost, resolve: onLost } = Promise.withResolvers<void>();
  const lock = await lockDataDirectory(dataDirectory, { log, onLost });
  try {
    const server = await findServer({ toolsDirectory: join(dataDirectory, "tools"), install, log });
    const redis = new EmbeddedRedis(options, server, lock);
    void lost.then(() => redis.abandon());
    await redis.open();
    return redis;
  } catch (error) {
    await lock.release();
    throw error;
  }
}

async function lockDataDirectory(dataDirectory: string, options: LockOptions): Promise<Lock> {
  try {
    return await acquireLock(join(dataDirectory, "rappel.lock"), options);
  } catch (error) {
    if (!(error instanceof LockHeld)) throw error;
    const where = error.host === null ? "" : ` on ${error.host}, another container or machine`;
    throw new StartFailure(
      `The data directory ${dataDirectory} is in use by the service with process id ${error.pid}${where}: stop that one, or set RAPPEL_DATA_DIR to another directory.`,
    );
  }
}

export class EmbeddedRedis {
  readonly #options: EmbeddedOptions;
  readonly #server: RedisServer;
  readonly #lock: Lock;
  readonly #directory: string;
  readonly #recordFile: string;
  #socket = "";
  #process: ProcessIdentity | null = null;
  #closing = false;
  #abandoned = false;
  #supervision: Promise<void> | null = null;

  constructor(options: EmbeddedOptions, server: RedisServer, lock: Lock) {
    this.#options = options;
    this.#server = server;
    this.#lock = lock;
    this.#directory = join(options.dataDirectory, "redis");
    this.#recordFile = join(options.dataDirectory, "redis.json");
  }

  /** The argument for `new Redis(…)`. */
  get url(): string {
    return this.#socket;
  }

  async open(): Promise<void> {
    await prepareFiles(this.#directory, this.#lock.mayReturn);
    const left = readRecord(this.#recordFile);
    const adopted = left !== null && (await this.#takeOver(left));
    if (!adopted) {
      this.#socket = join(makeSocketDirectory(), "redis.sock");
      await this.#spawn().catch(async (error: unknown) => {
        // The server may run already: something after its start may have failed.
        if (this.#process !== null) await endServer(this.#process);
        this.#forget();
        throw error;
      });
    }
    this.#supervision = this.#supervise();
  }

  /** Ends the server, after it has written everything, and releases the data directory. */
  async close(): Promise<void> {
    this.#closing = true;
    await this.#supervision;
    if (this.#process !== null) await endServer(this.#process);
    if (!this.#abandoned) this.#forget();
    await this.#lock.release();
  }

  /** Another service has the data directory by now. We must not write there any more. */
  abandon(): void {
    this.#closing = true;
    this.#abandoned = true;
    this.#kill();
    this.#options.onLost(
      new StartFailure(
        `Another service has taken the data directory ${this.#options.dataDirectory}, because this one stood still for too long: only one may use it.`,
      ),
    );
  }

  #kill(): void {
    if (this.#process !== null) killServer(this.#process);
  }

  #forget(): void {
    removeSocket(this.#socket);
    rmSync(this.#recordFile, { force: true });
  }

  /**
   * Adopts the server that an earlier service left running, if possible. Else makes sure that it
   * does not run.
   */
  async #takeOver({ socket, place, process }: ServerRecord): Promise<boolean> {
    // If it runs nevertheless, the kernel's lock will show it.
    if (place !== here) return false;
    const { log, maxBytes } = this.#options;
    const answer = await askServer(socket);
    if (answer !== null && answer.directory === realpathSync(this.#directory)) {
      await adjustServer(socket, maxBytes);
      this.#socket = socket;
      this.#setProcess(identify(answer.pid));
      log.info({ redis_pid: answer.pid }, "adopted the Redis that an earlier service left running");
      return true;
    }
    if (process !== null && isRunning(process)) {
      log.warn({ redis_pid: process.pid }, "ending the Redis that an earlier service left running: it does not answer");
      await endServer(process);
    }
    // If another program answers at the socket, it is not ours to remove.
    if (answer === null) removeSocket(socket);
    return false;
  }

  async #spawn(): Promise<void> {
    // The server is recorded before it exists. A service that is killed at this moment must not
    // leave a server that nobody knows about.
    this.#setProcess(null);
    mkdirSync(dirname(this.#socket), { recursive: true, mode: 0o700 });
    const child = await spawnServer(this.#server, {
      directory: this.#directory,
      socket: this.#socket,
      maxBytes: this.#options.maxBytes,
      appendfsync: "always",
      detached: true,
    });
    child.unref();
    this.#setProcess(identify(child.pid!));
    if (this.#abandoned) this.#kill();
  }

  #setProcess(process: ProcessIdentity | null): void {
    this.#process = process;
    // Once abandoned, the record belongs to the other service.
    if (!this.#abandoned) writeRecord(this.#recordFile, { socket: this.#socket, place: here, process });
  }

  /** Starts the server again whenever it dies. While it keeps dying, the pauses grow. */
  async #supervise(): Promise<void> {
    const { log, onLost } = this.#options;
    const attempts = new Retry("redis_process", log);
    let delayMs = POLL_MS / 2;
    while (!this.#closing) {
      const sinceMs = Date.now();
      while (!this.#closing && this.#process !== null && isRunning(this.#process)) {
        await sleep(POLL_MS);
        if (Date.now() - sinceMs > STABLE_MS) attempts.worked();
      }
      if (this.#closing) return attempts.gaveUp();
      const aliveMs = Date.now() - sinceMs;
      delayMs = aliveMs > STABLE_MS ? POLL_MS : Math.min(delayMs * 2, MAX_RESPAWN_DELAY_MS);
      const said = lastLogLine(this.#directory);
      attempts.failed(
        new Error(`Redis died (process ${this.#process?.pid ?? "unknown"}) after ${aliveMs} ms: ${said}`),
      );
      await sleep(delayMs);
      if (this.#closing) return attempts.gaveUp();
      try {
        await this.#spawn();
      } catch (error) {
        if (error instanceof DiskFull || diskFault(error) !== null) continue;
        onLost(error as Error);
        return;
      }
    }
  }
}

function makeSocketDirectory(): string {
  try {
    return mkdtempSync(join(tmpdir(), "rappel-"));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new StartFailure(
      `Redis' socket cannot be made in ${tmpdir()}, the directory for temporary files (${code}): set TMPDIR to one that this user can write to.`,
    );
  }
}

function removeSocket(socket: string): void {
  rmSync(socket, { force: true });
  try {
    rmdirSync(dirname(socket));
  } catch {
    // The directory is gone already, or someone keeps something else in it.
  }
}
