import { execFileSync } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { setImmediate, setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { pino, type Logger } from "pino";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openEmbedded, type EmbeddedRedis } from "../../src/redis/embedded.ts";
import { here, identify, isRunning } from "../../src/redis/process.ts";
import { retrying } from "../../src/retries.ts";
import { spawnServer } from "../../src/redis/spawn.ts";
import { startTestRedis, makeDataDirectory, testServer } from "../support/redis.ts";

let dataDirectory: string;
let opened: EmbeddedRedis | null;
beforeEach(async () => {
  await testServer();
  dataDirectory = makeDataDirectory();
  opened = null;
});
afterEach(async () => {
  await opened?.close();
  rmSync(dataDirectory, { recursive: true });
});

async function open(
  overrides: { maxBytes?: number; onLost?: (failure: Error) => void; log?: Logger } = {},
): Promise<EmbeddedRedis> {
  const log = pino({ level: "silent" });
  const onLost = (failure: Error) => {
    throw failure;
  };
  opened = await openEmbedded({
    dataDirectory,
    install: "auto",
    maxBytes: 64 * 1024 * 1024,
    log,
    onLost,
    ...overrides,
  });
  return opened;
}

async function ask<T>(url: string, question: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(url, { retryStrategy: () => 20, maxRetriesPerRequest: null });
  redis.on("error", () => undefined);
  try {
    return await question(redis);
  } finally {
    redis.disconnect();
  }
}

async function pidOf(url: string): Promise<number> {
  return Number(/process_id:(\d+)/.exec(await ask(url, (redis) => redis.info("server")))![1]);
}

/**
 * What a killed service leaves: its server, its record, and its lock, whose holder no longer runs.
 */
async function abandon(redis: EmbeddedRedis): Promise<{ record: string; pid: number; socket: string }> {
  const record = readFileSync(join(dataDirectory, "redis.json"), "utf8");
  const program = await testServer();
  const socket = redis.url;
  await redis.close();
  opened = null;
  mkdirSync(dirname(socket), { recursive: true, mode: 0o700 });
  const directory = join(dataDirectory, "redis");
  const child = await spawnServer(program, {
    directory,
    socket,
    maxBytes: 1e8,
    appendfsync: "always",
    detached: false,
  });
  const process = identify(child.pid!);
  writeFileSync(join(dataDirectory, "redis.json"), JSON.stringify({ ...JSON.parse(record), process }));
  writeFileSync(join(dataDirectory, "rappel.lock"), JSON.stringify({ pid: 2 ** 22 + 1, started: "then", place: here }));
  return { record, pid: child.pid!, socket };
}

test("a server is private, durable and limited, and is gone when it is closed", async () => {
  const { url } = await open();
  expect(statSync(dirname(url)).mode & 0o777).toBe(0o700);
  expect(statSync(url).mode & 0o777).toBe(0o700);
  expect(statSync(join(dataDirectory, "redis")).mode & 0o777).toBe(0o700);
  const settings = await ask(url, (redis) =>
    redis.config("GET", "dir", "port", "appendonly", "appendfsync", "save", "maxmemory", "maxmemory-policy"),
  );
  expect(
    Object.fromEntries(settings.flatMap((name, index) => (index % 2 === 0 ? [[name, settings[index + 1]]] : []))),
  ).toEqual({
    dir: realpathSync(join(dataDirectory, "redis")),
    port: "0",
    appendonly: "yes",
    appendfsync: "always",
    save: "",
    maxmemory: String(64 * 1024 * 1024),
    "maxmemory-policy": "noeviction",
  });
  const server = identify(await pidOf(url))!;
  await opened!.close();
  expect(isRunning(server)).toBe(false);
  expect(existsSync(dirname(url))).toBe(false);
  expect(existsSync(join(dataDirectory, "rappel.lock"))).toBe(false);
});

test("the log of a server is kept for one more start", async () => {
  const log = join(dataDirectory, "redis/redis.log");
  const pid = await pidOf((await open()).url);
  await opened!.close();
  expect(readFileSync(log, "utf8")).toContain(`${pid}:`);
  await open();
  expect(readFileSync(`${log}.1`, "utf8")).toContain(`${pid}:`);
  expect(readFileSync(log, "utf8")).not.toContain(`${pid}:`);
});

test("the next start finds the data again", async () => {
  await ask((await open()).url, (redis) => redis.set("key", "kept"));
  await opened!.close();
  expect(await ask((await open()).url, (redis) => redis.get("key"))).toBe("kept");
});

test("a data directory in use is refused with the user's process id", async () => {
  await open();
  await expect(
    openEmbedded({
      dataDirectory,
      install: "auto",
      maxBytes: 1e8,
      log: pino({ level: "silent" }),
      onLost: () => undefined,
    }),
  ).rejects.toThrow(
    `The data directory ${dataDirectory} is in use by the service with process id ${process.pid}: stop that one, or set RAPPEL_DATA_DIR to another directory.`,
  );
});

test("a server that dies is started again, at the same address and with the same data", async () => {
  const { url } = await open();
  await ask(url, (redis) => redis.set("key", "kept"));
  const first = await pidOf(url);
  process.kill(first, "SIGKILL");
  const again = await ask(url, async (redis) => {
    while ((await pidOf(url)) === first) await sleep(20);
    return await redis.get("key");
  });
  expect(again).toBe("kept");
});

test("an orphan is adopted, and gets the present limits", async () => {
  const redis = await open();
  await ask(redis.url, (client) => client.set("key", "kept"));
  const orphan = await abandon(redis);
  const adopted = await open({ maxBytes: 99 * 1024 * 1024 });
  expect(await pidOf(adopted.url)).toBe(orphan.pid);
  expect(await ask(adopted.url, (client) => client.get("key"))).toBe("kept");
  expect(await ask(adopted.url, (client) => client.config("GET", "maxmemory"))).toEqual([
    "maxmemory",
    String(99 * 1024 * 1024),
  ]);
});

test("an orphan that cannot be reached is ended before another server is started", async () => {
  const orphan = await abandon(await open());
  const identity = identify(orphan.pid)!;
  rmSync(orphan.socket);
  const { url } = await open();
  expect(isRunning(identity)).toBe(false);
  expect(await pidOf(url)).not.toBe(orphan.pid);
});

test("a frozen orphan is ended before another server is started", async () => {
  const redis = await open();
  await ask(redis.url, (client) => client.set("key", "kept"));
  const orphan = await abandon(redis);
  const identity = identify(orphan.pid)!;
  process.kill(orphan.pid, "SIGSTOP");
  const { url } = await open();
  expect(isRunning(identity)).toBe(false);
  expect(await ask(url, (client) => client.get("key"))).toBe("kept");
});

test("a server of another container, which we can neither reach nor end, keeps its directory", async () => {
  const orphan = await abandon(await open());
  const file = join(dataDirectory, "redis.json");
  const record = JSON.parse(readFileSync(file, "utf8")) as object;
  writeFileSync(file, JSON.stringify({ ...record, place: "elsewhere" }));
  await expect(open()).rejects.toThrow(
    `Another Redis still writes to ${join(dataDirectory, "redis")}, perhaps in another container of this machine: end it first`,
  );
  process.kill(orphan.pid, "SIGKILL");
});

test("a service that finds its directory taken kills its server at once, and leaves the other's files", async () => {
  const { promise: lost, resolve } = Promise.withResolvers<Error>();
  const { url } = await open({ onLost: resolve });
  const server = identify(await pidOf(url))!;
  // The other service takes the lock, and records its own server.
  const theirs = { "rappel.lock": '{"pid":1,"started":"then","place":"elsewhere"}', "redis.json": "theirs" };
  for (const [name, text] of Object.entries(theirs)) {
    rmSync(join(dataDirectory, name));
    writeFileSync(join(dataDirectory, name), text);
  }
  expect((await lost).message).toContain("Another service has taken the data directory");
  await expect.poll(() => isRunning(server), { timeout: 10_000 }).toBe(false);
  await opened!.close();
  opened = null;
  for (const [name, text] of Object.entries(theirs)) {
    expect(readFileSync(join(dataDirectory, name), "utf8")).toBe(text);
  }
});

test("a server with another directory is neither adopted nor touched", async () => {
  const stranger = await startTestRedis();
  writeFileSync(join(dataDirectory, "redis.json"), JSON.stringify({ socket: stranger.url, process: null }));
  const { url } = await open();
  expect(url).not.toBe(stranger.url);
  expect(await stranger.client().ping()).toBe("PONG");
  await stranger.stop();
});

/** Damages the middle. From a cut-off end, as after a power cut, Redis recovers by itself. */
function damage(): string {
  const file = join(dataDirectory, "redis/appendonlydir/appendonly.aof.1.incr.aof");
  const bytes = readFileSync(file);
  bytes.fill("x", 20, 40);
  writeFileSync(file, bytes);
  return join(dataDirectory, "redis/appendonlydir/appendonly.aof.manifest");
}

test("damaged data are refused with the command that repairs them, and the command works", async () => {
  await ask((await open()).url, async (redis) => {
    for (let index = 0; index < 10; index++) await redis.set(`key ${index}`, "value");
  });
  await opened!.close();
  opened = null;
  const manifest = damage();
  const failure = await open().catch((error: Error) => error);
  expect((failure as Error).message).toMatch(
    /^Redis' data in .* are damaged \(.*\): copy that directory away, then repair it with: .*redis-check-aof --fix .*manifest$/,
  );
  const command = (failure as Error).message.split("repair it with: ")[1];
  expect(command).toContain(manifest);
  execFileSync("/bin/sh", ["-c", command], { input: "y\n" });
  await open();
});

test("the server has its own process group, so a Ctrl-C at the service does not end it", async () => {
  const pid = await pidOf((await open()).url);
  const [, , group] = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
  expect(Number(group)).toBe(pid);
});

test("a write that was cut off by a power cut does not stop the start", async () => {
  await ask((await open()).url, async (redis) => {
    for (let index = 0; index < 10; index++) await redis.set(`key ${index}`, "value");
  });
  await opened!.close();
  const file = join(dataDirectory, "redis/appendonlydir/appendonly.aof.1.incr.aof");
  truncateSync(file, statSync(file).size - 7);
  expect(await ask((await open()).url, (redis) => redis.get("key 8"))).toBe("value");
});

test("a server that dies and cannot be started again is reported", async () => {
  const { promise: lost, resolve } = Promise.withResolvers<Error>();
  const { url } = await open({ onLost: resolve });
  await ask(url, (redis) => redis.set("key", "a value that is long enough to be damaged"));
  damage();
  process.kill(await pidOf(url), "SIGKILL");
  expect((await lost).message).toContain("are damaged");
});

test("a server that dies because the disk is full says so, and runs again when there is room", async () => {
  const said = Promise.withResolvers<string>();
  const log = pino({ level: "warn" }, { write: (line) => said.resolve(line) });
  const { url } = await open({ log });
  // The file that a rewrite begins to write. /dev/full answers like a full disk.
  const file = join(dataDirectory, "redis/appendonlydir/appendonly.aof.2.incr.aof");
  symlinkSync("/dev/full", file);
  const kept = ask(url, async (redis) => {
    await redis.bgrewriteaof();
    await redis.set("key", "value");
    return await redis.get("key");
  });
  expect(await said.promise).toContain("No space left on device");
  rmSync(file);
  writeFileSync(file, "");
  expect(await kept).toBe("value");
});

test("a server that dies while its data directory is full runs again when there is room", async () => {
  const { url } = await open();
  // The disk has no room for the record of the next server.
  const file = join(dataDirectory, "redis.json.new");
  symlinkSync("/dev/full", file);
  process.kill(await pidOf(url), "SIGKILL");
  const failures = () => retrying().find(({ loop }) => loop === "redis_process")?.failures;
  await expect.poll(failures, { timeout: 20_000 }).toBeGreaterThan(1);
  rmSync(file);
  expect(await ask(url, (redis) => redis.ping())).toBe("PONG");
});

test("a server whose disk took only part of a write reports that the disk is full", async () => {
  const command = join(dataDirectory, "server");
  const said = "Short write while writing to the AOF file: (nwritten=1946, expected=2526)";
  writeFileSync(command, `#!/bin/sh\necho "${said}"\necho "Can't recover. Exiting..."\nexit 1\n`, { mode: 0o700 });
  const directory = join(dataDirectory, "redis");
  const settings = { directory, socket: join(dataDirectory, "s"), maxBytes: 2 ** 26, detached: false } as const;
  const spawning = spawnServer({ ...(await testServer()), command }, { ...settings, appendfsync: "always" });
  await expect(spawning).rejects.toThrow(`Redis cannot write its data to ${directory} (${said}): make room`);
});

test("a start that fails after its server runs leaves no server", async () => {
  const record = join(dataDirectory, "redis.json");
  const opening = open();
  // The record is written before the server is spawned, and again with its process id.
  while (!existsSync(record)) await setImmediate();
  symlinkSync("/dev/full", `${record}.new`);
  await expect(opening).rejects.toThrow("ENOSPC");
  rmSync(`${record}.new`);
  // A server would still hold the directory.
  await open();
});

test("a server whose log cannot be opened leaves its directory free", async () => {
  const directory = join(dataDirectory, "redis");
  const settings = { directory, socket: join(dataDirectory, "s"), maxBytes: 2 ** 26, detached: false } as const;
  // Neither of them can be renamed.
  const paths = ["redis.log", "redis.log.1/file"].map((name) => join(directory, name));
  for (const path of paths) mkdirSync(path, { recursive: true });
  const spawn = async () => spawnServer(await testServer(), { ...settings, appendfsync: "no" });
  await expect(spawn()).rejects.toThrow("EISDIR");
  rmSync(paths[0], { recursive: true });
  const server = await spawn();
  server.kill();
  await once(server, "exit");
});

test("a path too long for a socket is refused clearly", async () => {
  const before = process.env.TMPDIR;
  const long = join(dataDirectory, "d".repeat(90));
  mkdirSync(long);
  process.env.TMPDIR = long;
  try {
    await expect(open()).rejects.toThrow(
      /is \d+ bytes long and the system allows 10\d: set TMPDIR to a shorter directory\.$/,
    );
  } finally {
    if (before === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = before;
  }
});
