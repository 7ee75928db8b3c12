import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { smallDisk } from "../support/disk.ts";
import { makeDataDirectory, startTestRedis, type TestRedis } from "../support/redis.ts";
import { startService, type ServiceOptions } from "../support/service.ts";

/** Starts that fail: exit code 1, and one sentence on stderr that says what to do. */

let directory: string;
let redis: TestRedis;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "rappel-start-"));
  redis = await startTestRedis();
});
afterAll(async () => {
  await redis.stop();
  rmSync(directory, { recursive: true });
});

async function refusal(options: ServiceOptions): Promise<string> {
  const env = { REDIS_URL: redis.url, RAPPEL_DATA_DIR: join(directory, "data"), ...options.env };
  const { code, stderr } = await (await startService({ ...options, env })).ended;
  expect(code).toBe(1);
  expect(stderr).toMatch(/^[^\n]+\n$/);
  return stderr.trim();
}

test("a bad value is named", async () => {
  expect(await refusal({ env: { RAPPEL_PORT: "http" } })).toBe(
    'RAPPEL_PORT is "http" and must be an integer from 0 to 65535.',
  );
});

test("an unknown option is named, through the launcher too", async () => {
  expect(await refusal({ env: {}, args: ["--rol", "api"], launcher: true })).toContain("Unknown option '--rol'");
});

test("a worker without a Redis to share is refused", async () => {
  expect(await refusal({ env: { REDIS_URL: "" }, args: ["--role", "worker"] })).toContain("REDIS_URL is not set");
});

test("a Redis that drops keys is refused", async () => {
  const evicting = await startTestRedis({ extraArguments: ["--maxmemory-policy", "volatile-ttl"] });
  expect(await refusal({ env: { REDIS_URL: evicting.url } })).toContain("maxmemory-policy is volatile-ttl");
  await evicting.stop();
});

test("a Redis that is away is refused", async () => {
  expect(await refusal({ env: { REDIS_URL: "redis://127.0.0.1:1" } })).toContain("No Redis can be used at 127.0.0.1:1");
});

test("a Redis that goes away during the start is named", async () => {
  // It was looked at and found good, which takes one connection.
  let connections = 0;
  const server = createServer((client) => {
    if (++connections > 1) return client.destroy();
    client.pipe(connect(redis.url)).pipe(client);
    client.on("error", () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  expect(await refusal({ env: { REDIS_URL: `redis://127.0.0.1:${port}` } })).toBe(
    "Redis failed while Rappel started: start it again once Redis answers. Redis cannot be reached: Connection is closed.",
  );
  server.close();
});

test("a data directory that is not a directory is refused", async () => {
  const file = join(directory, "file");
  writeFileSync(file, "");
  expect(await refusal({ env: { RAPPEL_DATA_DIR: file } })).toBe(
    `RAPPEL_DATA_DIR is "${file}", which must be a directory this user can write to (EEXIST).`,
  );
});

test("a data directory without write access is refused", async () => {
  for (const none of ["/proc/rappel/data", "/proc/self"]) {
    expect(await refusal({ env: { RAPPEL_DATA_DIR: none } })).toMatch(
      /^RAPPEL_DATA_DIR is "\/proc\/[a-z/]+", which must be a directory this user can write to \(E[A-Z]+\)\.$/,
    );
  }
});

test("a missing temporary directory is refused if Redis needs it for its socket", async () => {
  const data = makeDataDirectory();
  const none = join(directory, "none");
  expect(await refusal({ env: { REDIS_URL: "", RAPPEL_DATA_DIR: data, TMPDIR: none } })).toContain(
    `Redis' socket cannot be made in ${none}, the directory for temporary files (ENOENT): set TMPDIR`,
  );
  rmSync(data, { recursive: true });
});

test("a data directory on a full disk is refused, with an own or a given Redis", async (context) => {
  const disk = smallDisk(context, "1m");
  const env = { RAPPEL_DATA_DIR: disk.directory, RAPPEL_INSTALL: "never" };
  disk.fill();
  const full = `The disk that RAPPEL_DATA_DIR (${disk.directory}) lies on is full (ENOSPC: no space left on device, write).`;
  for (const url of ["", redis.url]) expect(await refusal({ env: { ...env, REDIS_URL: url } })).toBe(full);
});

test("a port in use is refused, and before that a setting without effect is logged", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const settings = { RAPPEL_PORT: String(port), RAPPEL_WORKER_PORT: "8081" };
  const env = { REDIS_URL: redis.url, RAPPEL_DATA_DIR: join(directory, "data"), ...settings };
  const service = await startService({ env });
  expect(await service.ended).toEqual({
    code: 1,
    stderr: `RAPPEL_PORT is ${port}, where another program listens: choose another port, or 0 for any that is free.\n`,
  });
  expect(service.log[0]).toMatchObject({
    level: "warn",
    msg: expect.stringMatching(/^RAPPEL_WORKER_PORT has no effect with RAPPEL_ROLE=all/),
  });
  server.close();
});

test("an address that is not this machine's is refused", async () => {
  expect(await refusal({ env: { RAPPEL_HOST: "192.0.2.1", RAPPEL_INSECURE: "true" } })).toContain("EADDRNOTAVAIL");
});
