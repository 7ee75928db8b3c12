import { createServer, type Server } from "node:net";
import { pino } from "pino";
import { afterEach, expect, test } from "vitest";
import { checkServer, connector } from "../../src/redis/connect.ts";
import { retrying } from "../../src/retries.ts";
import { startTestRedis, type TestRedis, type TestRedisOptions } from "../support/redis.ts";

const log = pino({ level: "silent" });
const opened: { stop(): unknown }[] = [];
afterEach(async () => {
  for (const one of opened.splice(0)) await one.stop();
});

async function redisWith(options: TestRedisOptions): Promise<TestRedis> {
  const redis = await startTestRedis(options);
  opened.push(redis);
  return redis;
}

/**
 * A port that answers `INFO` like an old server, because no old server is available. It knows no
 * other command.
 */
async function oldServer(): Promise<number> {
  const server: Server = createServer((socket) => {
    const info = "redis_version:6.2.14\r\nloading:0\r\nmaxmemory_policy:noeviction\r\nmaxmemory:0\r\n";
    socket.on("error", () => undefined);
    socket.on("data", (data) => {
      for (const [, command] of data.toString().matchAll(/\*\d+\r\n\$\d+\r\n(\w+)/g)) {
        if (command === "ping") socket.write("+PONG\r\n");
        else if (command === "info") socket.write(`$${info.length}\r\n${info}\r\n`);
        else socket.write(`-ERR unknown command '${command}'\r\n`);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  opened.push({ stop: () => server.close() });
  return (server.address() as { port: number }).port;
}

test("a suitable server is accepted, and its limit is returned", async () => {
  const redis = await redisWith({ maxBytes: 123 * 1024 * 1024 });
  expect(await checkServer(redis.url, log)).toEqual({
    version: expect.stringMatching(/^\d+\.\d+\.\d+$/),
    maxBytes: 123 * 1024 * 1024,
  });
});

test("a server without a limit is accepted", async () => {
  const redis = await redisWith({ maxBytes: 0 });
  expect(await checkServer(redis.url, log)).toMatchObject({ maxBytes: null });
});

test.each([
  [{ maxBytes: 2 ** 26, extraArguments: ["--appendonly", "yes"] }, []],
  [
    { maxBytes: 2 ** 26, extraArguments: ["--appendonly", "no"] },
    ["this Redis keeps no append-only file: its restart would lose recent changes"],
  ],
  [
    { maxBytes: 0, extraArguments: ["--appendonly", "yes"] },
    ["this Redis has no maxmemory: checkpoints may fill the machine's memory"],
  ],
])("what is unwise in a server is logged: %j", async (options, warnings) => {
  const redis = await redisWith(options);
  const said: string[] = [];
  const write = (line: string) => void said.push((JSON.parse(line) as { msg: string }).msg);
  await checkServer(redis.url, pino({ level: "warn" }, { write }));
  expect(said).toEqual(warnings);
});

test("a server that drops keys is refused with the command that changes it", async () => {
  const redis = await redisWith({ extraArguments: ["--maxmemory-policy", "allkeys-lru"] });
  await expect(checkServer(redis.url, log)).rejects.toThrow(
    /drops keys .*allkeys-lru.*config set maxmemory-policy noeviction/,
  );
});

test("a server that is too old is refused", async () => {
  const port = await oldServer();
  await expect(checkServer(`redis://127.0.0.1:${port}`, log)).rejects.toThrow(
    `The Redis at 127.0.0.1:${port} (REDIS_URL) is 6.2.14 and Rappel needs 7 or later`,
  );
});

test("a server that cannot be reached is refused, and the password is not shown", async () => {
  const failure = await checkServer("redis://user:secret@127.0.0.1:1", log).catch((error: Error) => error.message);
  expect(failure).toBe("No Redis can be used at 127.0.0.1:1 (REDIS_URL): connect ECONNREFUSED 127.0.0.1:1.");
});

test("a missing password is reported at once", async () => {
  const redis = await redisWith({ extraArguments: ["--protected-mode", "no"] });
  await redis.client().config("SET", "requirepass", "secret");
  await expect(checkServer(redis.url, log)).rejects.toThrow(/\(REDIS_URL\): NOAUTH/);
});

test("a connection survives its server, and logs once that it is away and once that it is back", async () => {
  const redis = await redisWith({});
  const said: string[] = [];
  const recording = pino(
    { level: "info" },
    { write: (line: string) => void said.push((JSON.parse(line) as { msg: string }).msg) },
  );
  const client = connector(redis.url, recording)({ maxRetriesPerRequest: null });
  await client.set("key", "value");
  redis.kill();
  const answer = client.get("key");
  await new Promise((resolve) => setTimeout(resolve, 500));
  await redis.restart();
  expect(await answer).toBe("value");
  client.disconnect();
  expect(said).toEqual(["failed, trying again: a connection to Redis", "works again: a connection to Redis"]);
});

test("a start waits for a Redis that is still loading its data, and says so", async () => {
  // A setting of Redis for its own tests: it waits after each command that it reads from its log.
  const redis = await redisWith({ extraArguments: ["--key-load-delay", "100"] });
  const writing = redis.client().pipeline();
  for (let i = 0; i < 12_000; i++) writing.set(`key-${i}`, "v");
  await writing.exec();
  redis.kill();
  const restarted = redis.restart();
  const said: unknown[] = [];
  const recording = pino({}, { write: (line: string) => void said.push((JSON.parse(line) as { msg: string }).msg) });
  const { version } = await checkServer(redis.url, recording);
  expect(Number.parseInt(version, 10)).toBeGreaterThanOrEqual(7);
  expect(said).toContain("waiting for Redis to load its data");
  expect(await redis.client({ enableReadyCheck: false }).info("persistence")).toMatch(/^loading:0/m);
  await restarted;
  expect(await redis.client().dbsize()).toBe(12_000);
});

test("a connection that is closed before its next attempt is no longer listed as retrying", async () => {
  const client = connector("redis://127.0.0.1:1", log)({ retryStrategy: () => 60_000 });
  await expect.poll(() => client.status).toBe("reconnecting");
  expect(retrying()).toMatchObject([{ loop: "redis_connection", count: 1 }]);
  client.disconnect();
  expect(retrying()).toEqual([]);
});

test("a connection that is to be made anew is still listed as retrying when that fails", async () => {
  const client = connector("redis://127.0.0.1:1", log)({ retryStrategy: () => 10 });
  client.disconnect(true);
  await expect.poll(() => retrying().map(({ loop }) => loop)).toEqual(["redis_connection"]);
  client.disconnect();
  expect(retrying()).toEqual([]);
});
