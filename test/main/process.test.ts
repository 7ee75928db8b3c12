import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, lstatSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { kernelsInUse } from "../../src/engine/kernels/native.ts";
import { identify, isRunning, type ProcessIdentity } from "../../src/redis/process.ts";
import { makeDataDirectory } from "../support/redis.ts";
import { startService, type ServiceOptions, type ServiceProcess } from "../support/service.ts";

/** The life of a whole service with a Redis of its own. */

let dataDirectory: string;
const started: ServiceProcess[] = [];
beforeEach(() => {
  dataDirectory = makeDataDirectory();
});
afterEach(async () => {
  for (const service of started.splice(0)) if (service.process.exitCode === null) await service.stop();
  // A service that was killed leaves its Redis to the next start.
  if (existsSync(recordFile())) {
    const server = redisProcess();
    if (isRunning(server)) process.kill(server.pid, "SIGKILL");
    await untilEnded(server);
  }
  rmSync(dataDirectory, { recursive: true });
});

async function start(env: NodeJS.ProcessEnv = {}, options: Omit<ServiceOptions, "env"> = {}): Promise<ServiceProcess> {
  const service = await startService({ env: { RAPPEL_DATA_DIR: dataDirectory, ...env }, ...options });
  started.push(service);
  return service;
}

function recordFile(): string {
  return join(dataDirectory, "redis.json");
}

function redisProcess(): ProcessIdentity {
  return (JSON.parse(readFileSync(recordFile(), "utf8")) as { process: ProcessIdentity }).process;
}

async function untilEnded(identity: ProcessIdentity): Promise<void> {
  while (isRunning(identity)) await sleep(20);
}

async function upload(address: string | null): Promise<string> {
  const response = await fetch(`${address}/v1/datasets`, {
    method: "POST",
    headers: { "content-type": "text/csv" },
    body: "x,y\n1,2\n3,4\n",
  });
  return ((await response.json()) as { id: string }).id;
}

async function statusOf(address: string | null, dataset: string): Promise<number> {
  const response = await fetch(`${address}/v1/datasets/${dataset}`);
  await response.body?.cancel();
  return response.status;
}

/** What others than its owner may do anything with. */
function openToOthers(): string[] {
  const paths = ["", ...(readdirSync(dataDirectory, { recursive: true }) as string[])];
  // The tests share their tools.
  const own = paths.filter((path) => !path.startsWith("tools"));
  return own.filter((path) => (lstatSync(join(dataDirectory, path)).mode & 0o077) !== 0);
}

test("the files of a service are private to its user, even in an existing directory", async () => {
  chmodSync(dataDirectory, 0o755);
  const { address, redis } = await (await start()).ready;
  await upload(address);
  expect(readdirSync(dataDirectory)).toEqual(
    expect.arrayContaining(["datasets", "redis", "rappel.lock", "redis.json", "epoch"]),
  );
  expect(openToOthers()).toEqual([]);
  expect(statSync(redis).mode & 0o077).toBe(0);
});

test.each(["SIGTERM", "SIGINT"] as const)(
  "%s ends everything, with exit code 0 and nothing on stderr",
  async (signal) => {
    const service = await start();
    const ready = await service.ready;
    expect(ready).toMatchObject({
      role: "all",
      pid: service.process.pid,
      address: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
      kernels: kernelsInUse(),
    });
    expect((await fetch(`${ready.address}/readyz`)).status).toBe(200);
    const redis = redisProcess();
    expect(await service.stop(signal)).toEqual({ code: 0, stderr: "" });
    expect(isRunning(redis)).toBe(false);
    expect(existsSync(recordFile())).toBe(false);
    expect(existsSync(join(dataDirectory, "rappel.lock"))).toBe(false);
    expect(existsSync(ready.redis)).toBe(false);
  },
);

test("a signal to npm ends the service that npm start runs", async () => {
  const service = await start({}, { within: ["sh", "-c", "exec npm start --silent", "sh"] });
  const serving = identify((await service.ready).pid)!;
  expect(await service.stop()).toEqual({ code: 0, stderr: "" });
  expect(isRunning(serving)).toBe(false);
});

test("a service that is told to end while it starts does so, and leaves nothing behind", async () => {
  const service = await start();
  while (!existsSync(recordFile())) await sleep(2);
  expect(await service.stop()).toEqual({ code: 0, stderr: "" });
  expect(existsSync(recordFile())).toBe(false);
  expect(existsSync(join(dataDirectory, "rappel.lock"))).toBe(false);
});

test("no log level silences the ready line", async () => {
  const service = await start({ RAPPEL_LOG_LEVEL: "silent" });
  await service.ready;
  expect(service.log).toHaveLength(1);
});

test("a second service on the same data directory is refused with the first one's process id", async () => {
  const { pid } = await (await start()).ready;
  const { code, stderr } = await (await start()).ended;
  expect(code).toBe(1);
  expect(stderr).toBe(
    `The data directory ${dataDirectory} is in use by the service with process id ${pid}: stop that one, or set RAPPEL_DATA_DIR to another directory.\n`,
  );
});

const inContainer = ["unshare", "-p", "-f", "--mount-proc", "--kill-child"];
const namespaces = spawnSync(inContainer[0], [...inContainer.slice(1), "true"]).status === 0;
if (!namespaces) console.warn("skipped: this user may not make namespaces of process ids (unshare -p)");

test.skipIf(!namespaces)(
  "a service in another container is refused too, even while the first stands still",
  async () => {
    const first = await start({}, { within: inContainer });
    const { address } = await first.ready;
    const dataset = await upload(address);
    const outside = first.process.pid!;
    const serving = identify(Number(readFileSync(`/proc/${outside}/task/${outside}/children`, "utf8")))!;
    process.kill(serving.pid, "SIGSTOP");
    for (const within of [[], inContainer]) {
      const { code, stderr } = await (await start({}, { within })).ended;
      expect(code).toBe(1);
      expect(stderr).toMatch(
        / is in use by the service with process id 1 on .*, another container or machine: stop that/,
      );
    }
    process.kill(serving.pid, "SIGCONT");
    expect(await statusOf(address, dataset)).toBe(200);
    await first.stop("SIGKILL");
    await untilEnded(serving);
    expect(await statusOf((await (await start()).ready).address, dataset)).toBe(200);
  },
);

test("after kill -9 the next service adopts the Redis, and nothing is lost", async () => {
  const first = await start();
  const dataset = await upload((await first.ready).address);
  await first.stop("SIGKILL");
  const redis = redisProcess();
  expect(isRunning(redis)).toBe(true);
  const { address } = await (await start()).ready;
  expect(redisProcess()).toEqual(redis);
  expect(await statusOf(address, dataset)).toBe(200);
});

test("after kill -9 of service and Redis nothing is lost either", async () => {
  const first = await start();
  const dataset = await upload((await first.ready).address);
  const redis = redisProcess();
  process.kill(redis.pid, "SIGKILL");
  await first.stop("SIGKILL");
  await untilEnded(redis);
  expect(await statusOf((await (await start()).ready).address, dataset)).toBe(200);
});

test("a Redis that is killed is started again, and the service goes on", async () => {
  const { address } = await (await start()).ready;
  const dataset = await upload(address);
  const redis = redisProcess();
  process.kill(redis.pid, "SIGKILL");
  await untilEnded(redis);
  const statuses = new Set<number>();
  while (!statuses.has(200)) {
    statuses.add(await statusOf(address, dataset));
    await sleep(20);
  }
  // Until it is back the answer is "unavailable", never "not found" or a crash.
  expect([...statuses].filter((status) => status !== 200 && status !== 503)).toEqual([]);
  // Redis answers before the service has seen that it does, and written down who it is.
  await expect.poll(redisProcess).toMatchObject({ pid: expect.any(Number) });
  expect(redisProcess().pid).not.toBe(redis.pid);
});

test("a service whose launcher vanishes ends, and its Redis with it", async () => {
  const service = await start({}, { launcher: true });
  const { pid } = await service.ready;
  expect(pid).not.toBe(service.process.pid);
  const [serving, redis] = [identify(pid)!, redisProcess()];
  service.process.kill("SIGKILL");
  await untilEnded(serving);
  expect(isRunning(redis)).toBe(false);
  expect(existsSync(recordFile())).toBe(false);
});

test("the launcher passes on the signal, and waits for the end", async () => {
  const service = await start({}, { launcher: true });
  const serving = identify((await service.ready).pid)!;
  expect(await service.stop()).toEqual({ code: 0, stderr: "" });
  expect(isRunning(serving)).toBe(false);
});

test("damaged data stop the start with the command that repairs them", async () => {
  const first = await start();
  await upload((await first.ready).address);
  await first.stop();
  const file = join(dataDirectory, "redis/appendonlydir/appendonly.aof.1.incr.aof");
  const bytes = readFileSync(file);
  expect(statSync(file).size).toBeGreaterThan(100);
  writeFileSync(file, bytes.fill("x", 30, 60));
  const { code, stderr } = await (await start()).ended;
  expect(code).toBe(1);
  expect(stderr).toMatch(/^[^\n]*redis-check-aof --fix [^\n]*appendonly\.aof\.manifest\n$/);
});

test("an uncaught error counts as a crash of the jobs that ran", async () => {
  // On SIGUSR2 the process throws, as a fault in any callback would.
  const fault = 'process.on("SIGUSR2", () => setImmediate(() => { throw new Error("a fault"); }))';
  const env = { RAPPEL_LEASE_MS: "1000", NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(fault)}` };
  const post = async (address: string | null, path: string, body: object) => {
    const headers = { "content-type": "application/json" };
    return await (await fetch(`${address}${path}`, { method: "POST", headers, body: JSON.stringify(body) })).json();
  };
  const get = async (address: string | null, path: string) => await (await fetch(`${address}${path}`)).json();

  const first = await start(env);
  const { address } = await first.ready;
  const { id } = (await post(address, "/v1/jobs", {
    data: { synthetic: { type: "linear", rows: 1000 }, target: "target" },
    model: { layers: [{ type: "linear" }] },
    loss: { type: "mse" },
    optimizer: { type: "sgd", lr: 1e-6 },
    training: { epochs: 100_000, batch_size: 10, log_every_steps: 10_000 },
  })) as { id: string };
  while (((await get(address, `/v1/jobs/${id}/progress`)) as { step: number }).step === 0) await sleep(20);
  expect(await first.stop("SIGUSR2")).toMatchObject({ code: 1 });

  const second = await (await start({ RAPPEL_LEASE_MS: "1000" })).ready;
  const types = async () =>
    ((await get(second.address, `/v1/jobs/${id}/events`)) as { data: { type: string }[] }).data.map(({ type }) => type);
  while (!(await types()).includes("resumed")) await sleep(50);
  expect(await types()).toEqual(["created", "started", "lease_lost", "resumed"]);
  await post(second.address, `/v1/jobs/${id}/cancel`, {});
});
