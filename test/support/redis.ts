// A private, real Redis for a test file: own data directory, own socket, gone when the test process
// is.
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync } from "node:fs";
import { userInfo, tmpdir } from "node:os";
import { join } from "node:path";
import { Redis, type RedisOptions } from "ioredis";
import { pino } from "pino";
import { findServer } from "../../src/redis/find.ts";
import type { RedisServer } from "../../src/redis/server.ts";
import { spawnServer } from "../../src/redis/spawn.ts";

export interface TestRedisOptions {
  maxBytes?: number;
  appendfsync?: "always" | "everysec" | "no";
  /** Further arguments for redis-server; the last one of a name wins. */
  extraArguments?: readonly string[];
}

export interface TestRedis {
  /** What `new Redis(url)` and REDIS_URL take. */
  readonly url: string;
  readonly directory: string;
  /** The process id of the server that runs now. */
  readonly pid: number;
  /** A new connection; `stop` closes it. */
  client(options?: RedisOptions): Redis;
  /** Sends a signal, without waiting for what it does. */
  kill(signal?: NodeJS.Signals): void;
  /**
   * Ends the server if it still runs, and starts it again with the same data at the same url. Waits
   * until each connection made here has found it again.
   */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

let server: Promise<RedisServer> | null = null;

/**
 * The server program the tests use: the system's, or one fetched once into a cache that all test
 * files share.
 */
export function testServer(): Promise<RedisServer> {
  server ??= findServer({ toolsDirectory: cacheDirectory(), install: "auto", log: pino({ level: "silent" }) });
  return server;
}

/** @throws Error if someone else's directory stands where ours should: programs are run from it. */
export function cacheDirectory(): string {
  const { uid } = userInfo();
  const directory = join(tmpdir(), `rappel-test-${uid}`);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  if (statSync(directory).uid !== uid) throw new Error(`${directory} belongs to someone else`);
  return directory;
}

/**
 * A fresh data directory for a service, which finds the tests' server in it and need not fetch one.
 */
export function makeDataDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "rappel-data-"));
  symlinkSync(cacheDirectory(), join(directory, "tools"));
  return directory;
}

export async function startTestRedis(options: TestRedisOptions = {}): Promise<TestRedis> {
  const program = await testServer();
  const directory = mkdtempSync(join(tmpdir(), "rappel-redis-"));
  const socket = join(directory, "redis.sock");
  const clients = new Set<Redis>();
  const start = () =>
    spawnServer(program, {
      directory,
      socket,
      maxBytes: options.maxBytes ?? 256 * 1024 * 1024,
      appendfsync: options.appendfsync ?? "no",
      detached: false,
      extraArguments: options.extraArguments,
    });
  let child = await start();
  const killOnExit = () => child.kill("SIGKILL");
  process.once("exit", killOnExit);

  return {
    url: socket,
    directory,
    get pid() {
      return child.pid!;
    },
    client(clientOptions = {}) {
      const client = new Redis(socket, clientOptions);
      // Tests kill servers on purpose; a test that cares about connection errors listens itself.
      client.on("error", () => undefined);
      clients.add(client);
      return client;
    },
    kill(signal = "SIGKILL") {
      child.kill(signal);
    },
    async restart() {
      await end(child);
      child = await start();
      const lost = [...clients].filter(({ status }) => !["ready", "wait", "end"].includes(status));
      await Promise.all(lost.map(async (client) => await once(client, "ready")));
    },
    async stop() {
      for (const client of clients) client.disconnect();
      await end(child);
      process.off("exit", killOnExit);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise((resolve) => child.once("exit", resolve));
  // A stopped process (SIGSTOP) takes no other signal.
  child.kill("SIGKILL");
  await exited;
}
