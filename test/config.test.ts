import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { inspect } from "node:util";
import { afterAll, expect, test } from "vitest";
import { loadConfig, type Config, type Machine } from "../src/config.ts";
import { nativeSets } from "../src/engine/kernels/native.ts";
import { apiKey } from "../src/secrets.ts";

const GiB = 1024 ** 3;
const machine = { cores: 6, memoryBytes: 8 * GiB };
const unlimited = { waiting: null, running: null, dataset_bytes: null, checkpoint_bytes: null, archived_bytes: null };
const load = (env: NodeJS.ProcessEnv = {}, args: string[] = []) => loadConfig(env, args, machine);

function keysFile(text: string): string {
  const file = join(mkdtempSync(join(tmpdir(), "rappel-keys-")), "keys");
  writeFileSync(file, text);
  return file;
}

test("the secrets that deploy/secrets.sh makes are taken, and differ each time", () => {
  const make = () => {
    const lines = execFileSync("sh", ["deploy/secrets.sh"], { encoding: "utf8" }).split("\n");
    const settings = lines.filter((line) => /^\w+=/.test(line)).map((line) => line.split(/=(.*)/s, 2));
    return Object.fromEntries(settings) as Record<string, string>;
  };
  const [first, second] = [make(), make()];
  const config = load({ ...first, RAPPEL_HOST: "0.0.0.0" });
  expect(config.warnings).toEqual([]);
  expect(config.apiKeys.map(({ owner }) => owner)).toEqual(["me"]);
  expect([...config.webhookSecrets.keys()]).toEqual(["me"]);
  expect(first.REDIS_PASSWORD).toMatch(/^[0-9a-f]{48}$/);
  for (const [name, secret] of Object.entries(first)) expect(second[name]).not.toBe(secret);
});

test("without any variable the documented defaults hold", () => {
  expect(load()).toEqual({
    role: "all",
    host: "127.0.0.1",
    port: 8080,
    workerPort: null,
    dataDirectory: resolve("data"),
    redisUrl: null,
    archive: { directory: resolve("data/archive"), isShared: true, isRemote: false },
    apiUrl: null,
    apiKeys: [],
    ownerLimits: unlimited,
    requestsPerMinute: null,
    webhookSecrets: new Map(),
    webhookHosts: [],
    adminKey: null,
    traces: false,
    threads: 6,
    predictThreads: 1,
    predictMaxBytes: GiB / 2,
    jobs: 6,
    jobsBytes: 4 * GiB,
    kernels: "auto",
    leaseMs: 5000,
    shutdownMs: 10_000,
    keepJobsDays: 30,
    logLevel: "info",
    install: "auto",
    redisMaxBytes: 2 * GiB,
    maxJobBytes: 4 * GiB - 65536,
    maxStateBytes: Math.floor((2 * GiB) / 10),
    maxCacheBytes: 10 * 2 ** 30,
    maxDatasetBytes: GiB / 2,
    warnings: [],
  });
});

test("who moves ended jobs into the archive, and where it is", () => {
  const redis = { REDIS_URL: "redis://127.0.0.1" };
  const shared = { ...redis, RAPPEL_STORE_URL: "file:///srv/the%20archive" };
  const archive = (variables: NodeJS.ProcessEnv) => load(variables).archive;
  expect(archive(redis)).toEqual({ directory: resolve("data/archive"), isShared: false, isRemote: false });
  expect(archive(shared)).toEqual({ directory: "/srv/the archive", isShared: true, isRemote: false });
  const worker = { ...redis, RAPPEL_ROLE: "worker", RAPPEL_API_URL: "http://127.0.0.1:8080" };
  expect(archive(worker)).toMatchObject({ isRemote: true });
  expect(archive({ ...worker, ...shared })).toMatchObject({ directory: "/srv/the archive", isRemote: false });
});

test("an empty variable counts as unset, and unknown variables are ignored", () => {
  expect(load({ RAPPEL_PORT: "", REDIS_URL: "", RAPPEL_SERVICE_HOST: "10.0.0.1" })).toEqual(load());
});

test("small and large machines get limits that work", () => {
  const small = loadConfig({}, [], { cores: 1, memoryBytes: GiB / 2 });
  expect(small).toMatchObject({
    threads: 1,
    jobs: 1,
    redisMaxBytes: GiB / 4,
    maxJobBytes: GiB / 4,
    maxStateBytes: 32 * 1024 ** 2,
  });
  const large = loadConfig({}, [], { cores: 192, memoryBytes: 1024 * GiB });
  expect(large).toMatchObject({ threads: 64, jobs: 64, redisMaxBytes: 16 * GiB, maxStateBytes: GiB / 2 });
});

test("jobs at once share the memory of one job, or half of the machine's, unless their number is set", () => {
  const bytes = (env: NodeJS.ProcessEnv) => load(env).jobsBytes / GiB;
  expect(bytes({})).toBe(4);
  expect(bytes({ RAPPEL_MAX_JOB_BYTES: "1GiB" })).toBe(4);
  expect(bytes({ RAPPEL_MAX_JOB_BYTES: "1GiB", RAPPEL_JOBS: "6" })).toBe(6);
});

test("--role goes before RAPPEL_ROLE", () => {
  expect(load({ RAPPEL_ROLE: "worker" }, ["--role", "api"]).role).toBe("api");
  expect(load({ REDIS_URL: "redis://h" }, ["--role=worker"]).role).toBe("worker");
});

test("sizes may have a unit", () => {
  expect(load({ RAPPEL_MAX_DATASET_BYTES: "1048576" }).maxDatasetBytes).toBe(1024 ** 2);
  expect(load({ RAPPEL_MAX_DATASET_BYTES: "1.5 MiB" }).maxDatasetBytes).toBe(1.5 * 1024 ** 2);
});

const [KiB, MiB] = [1024, 1024 ** 2];

test.each([
  ["RAPPEL_PORT", 0, 65_535, ({ port }) => port],
  ["RAPPEL_WORKER_PORT", 0, 65_535, ({ workerPort }) => workerPort],
  ["RAPPEL_THREADS", 1, 64, ({ threads }) => threads],
  ["RAPPEL_JOBS", 1, 64, ({ jobs }) => jobs],
  ["RAPPEL_LEASE_MS", 250, 600_000, ({ leaseMs }) => leaseMs],
  ["RAPPEL_SHUTDOWN_MS", 0, 600_000, ({ shutdownMs }) => shutdownMs],
  ["RAPPEL_KEEP_JOBS_DAYS", 1, 36_500, ({ keepJobsDays }) => keepJobsDays],
  ["RAPPEL_REDIS_MAX_BYTES", 16 * MiB, 1024 * GiB, ({ redisMaxBytes }) => redisMaxBytes],
  ["RAPPEL_MAX_JOB_BYTES", MiB, 4 * GiB - 64 * KiB, ({ maxJobBytes }) => maxJobBytes],
  ["RAPPEL_MAX_STATE_BYTES", MiB, 4 * GiB - 64 * KiB, ({ maxStateBytes }) => maxStateBytes],
  ["RAPPEL_MAX_DATASET_BYTES", KiB, 4 * GiB, ({ maxDatasetBytes }) => maxDatasetBytes],
  ["RAPPEL_MAX_CACHE_BYTES", 0, 1024 * GiB, ({ maxCacheBytes }) => maxCacheBytes],
  ["RAPPEL_OWNER_MAX_WAITING", 1, 1_000_000, ({ ownerLimits }) => ownerLimits.waiting],
  ["RAPPEL_OWNER_MAX_RUNNING", 1, 1_000_000, ({ ownerLimits }) => ownerLimits.running],
  ["RAPPEL_OWNER_MAX_DATASET_BYTES", KiB, 1024 * GiB, ({ ownerLimits }) => ownerLimits.dataset_bytes],
  ["RAPPEL_OWNER_MAX_CHECKPOINT_BYTES", KiB, 1024 * GiB, ({ ownerLimits }) => ownerLimits.checkpoint_bytes],
  ["RAPPEL_OWNER_MAX_ARCHIVED_BYTES", KiB, 1024 * 1024 * GiB, ({ ownerLimits }) => ownerLimits.archived_bytes],
  ["RAPPEL_OWNER_REQUESTS_PER_MINUTE", 1, 1_000_000, ({ requestsPerMinute }) => requestsPerMinute],
] as [string, number, number, (config: Config) => number | null][])(
  "%s may be from %i to %i",
  (name, least, most, valueIn) => {
    for (const value of [least, most]) expect(valueIn(load({ [name]: String(value) }))).toBe(value);
    for (const value of [least - 1, most + 1]) {
      expect(() => load({ [name]: String(value) }), String(value)).toThrow(`${name} is "${value}" and must be `);
    }
  },
);

test.each([
  ["redis://h:1/2", "redis://h:1/2"],
  ["rediss://u:p@h", "rediss://u:p@h"],
])("REDIS_URL may be %s", (given, url) => expect(load({ REDIS_URL: given }).redisUrl).toBe(url));

test("an address that leads only to this machine needs no keys, and any other does", () => {
  for (const host of ["localhost", "::1", "127.0.0.1", "127.255.0.9"])
    expect(load({ RAPPEL_HOST: host }).host).toBe(host);
  for (const host of ["0.0.0.0", "::", "128.0.0.1", "127.0.0", "127.0.0.1.example", "1.127.0.0.1", "a.localhost"]) {
    expect(() => load({ RAPPEL_HOST: host }), host).toThrow("would let anyone who reaches this machine in");
  }
});

test("a socket may stand for Redis, as a URL or a path", () => {
  expect(load({ REDIS_URL: "unix:///run/my%20redis.sock" }).redisUrl).toBe("/run/my redis.sock");
  expect(load({ REDIS_URL: "/run/redis.sock" }).redisUrl).toBe("/run/redis.sock");
});

test("keys have an owner and a secret, and an owner may have several; what is kept is a hash", () => {
  const keys = [apiKey("alice", "s3cret"), apiKey("bob", "with:colon"), apiKey("alice", "next")];
  const config = load({ RAPPEL_API_KEYS: "alice:s3cret, bob:with:colon,alice:next" });
  expect(config.apiKeys).toEqual(keys);
  expect(inspect(config, { depth: 9 })).not.toContain("s3cret");
});

test("keys may be in a file, one a line, beside those of the environment", () => {
  const file = keysFile("# the platform's\n\nalice:s3cret\n  bob:with:colon\r\n");
  const fromFile = [apiKey("alice", "s3cret"), apiKey("bob", "with:colon")];
  expect(load({ RAPPEL_API_KEYS_FILE: file }).apiKeys).toEqual(fromFile);
  expect(load({ RAPPEL_API_KEYS_FILE: file, RAPPEL_API_KEYS: "eve:x" }).apiKeys).toEqual([
    apiKey("eve", "x"),
    ...fromFile,
  ]);
  expect(load({ RAPPEL_API_KEYS_FILE: file, RAPPEL_HOST: "0.0.0.0" }).host).toBe("0.0.0.0");
});

test.each([
  ["alice", "whose line 1 must be name:secret"],
  ["# nobody\n", "which holds no key"],
  ["alice:pa55word\nbob:pa55word", "must not hold a secret twice"],
  ["alice:pa55word\nbob: pa55word", "whose line 2 must be name:secret"],
])("a file with %j is refused, without repeating what it holds", (text, sentence) => {
  const env = { RAPPEL_API_KEYS_FILE: keysFile(text) };
  expect(() => load(env)).toThrow(sentence);
  expect(() => load(env)).not.toThrow(/pa55word/);
});

test("a file that is not there is refused", () => {
  expect(() => load({ RAPPEL_API_KEYS_FILE: "/nowhere/keys" })).toThrow(
    'RAPPEL_API_KEYS_FILE is "/nowhere/keys", which cannot be read (ENOENT).',
  );
});

test("owners who share a service have default limits; the single owner of an open service has only limits that are set", () => {
  expect(load({ RAPPEL_API_KEYS: "alice:s3cret" }).ownerLimits).toEqual({
    waiting: 1000,
    running: null,
    dataset_bytes: 8 * GiB,
    checkpoint_bytes: GiB,
    archived_bytes: 64 * GiB,
  });
  const set = {
    RAPPEL_OWNER_MAX_WAITING: "5",
    RAPPEL_OWNER_MAX_RUNNING: "2",
    RAPPEL_OWNER_MAX_DATASET_BYTES: "1GiB",
    RAPPEL_OWNER_MAX_CHECKPOINT_BYTES: "2GiB",
    RAPPEL_OWNER_MAX_ARCHIVED_BYTES: "3GiB",
    RAPPEL_OWNER_REQUESTS_PER_MINUTE: "60",
  };
  const limits = { waiting: 5, running: 2, dataset_bytes: GiB, checkpoint_bytes: 2 * GiB, archived_bytes: 3 * GiB };
  expect(load(set)).toMatchObject({ ownerLimits: limits, requestsPerMinute: 60 });
  expect(load({ RAPPEL_API_KEYS: "alice:s3cret" }).requestsPerMinute).toBe(6000);
  expect(load({ ...set, RAPPEL_API_KEYS: "alice:s3cret" }).ownerLimits).toEqual(limits);
});

test("webhook secrets have an owner, who may have several; hosts are as URLs have them", () => {
  const [a, b] = [Buffer.alloc(24, 1), Buffer.alloc(64, 2)];
  const text = [`alice:whsec_${a.toString("base64")}`, `alice:whsec_${b.toString("base64")}`].join(",");
  expect(load({ RAPPEL_WEBHOOK_SECRETS: text }).webhookSecrets).toEqual(new Map([["alice", [a, b]]]));
  expect(load({ RAPPEL_WEBHOOK_ALLOW: "Hooks.internal, 10.0.0.7,[::1],a.b:8080,[::1]:443" }).webhookHosts).toEqual([
    "hooks.internal",
    "10.0.0.7",
    "[::1]",
    "a.b:8080",
    "[::1]:443",
  ]);
});

test.each([
  [{ RAPPEL_PORT: "http" }, 'RAPPEL_PORT is "http" and must be an integer from 0 to 65535.'],
  [{ RAPPEL_PORT: "65536" }, 'RAPPEL_PORT is "65536" and must be an integer from 0 to 65535.'],
  [{ RAPPEL_THREADS: "0" }, 'RAPPEL_THREADS is "0" and must be an integer from 1 to 64.'],
  [{ RAPPEL_LEASE_MS: "2147483648" }, 'RAPPEL_LEASE_MS is "2147483648" and must be an integer from 250 to 600000.'],
  [{ RAPPEL_SHUTDOWN_MS: "2147483648" }, 'RAPPEL_SHUTDOWN_MS is "2147483648" and must be an integer from 0 to 600000.'],
  [{ RAPPEL_KEEP_JOBS_DAYS: "36501" }, 'RAPPEL_KEEP_JOBS_DAYS is "36501" and must be an integer from 1 to 36500.'],
  [{ RAPPEL_LEASE_MS: "5s" }, 'RAPPEL_LEASE_MS is "5s" and must be an integer from 250 to 600000.'],
  [{ RAPPEL_ROLE: "both" }, 'RAPPEL_ROLE is "both" and must be one of all, api, worker.'],
  [{ RAPPEL_INSECURE: "yes" }, 'RAPPEL_INSECURE is "yes" and must be one of true, false.'],
  [
    { RAPPEL_STORE_URL: "s3://rappel" },
    'RAPPEL_STORE_URL is "s3://rappel" and must be the URL of a directory, such as file:///srv/rappel.',
  ],
  [{ RAPPEL_API_URL: "host:8080" }, 'RAPPEL_API_URL is "host:8080" and must be a URL such as http://127.0.0.1:8080.'],
  [
    { RAPPEL_MAX_JOB_BYTES: "4GiB" },
    'RAPPEL_MAX_JOB_BYTES is "4GiB" and must be a number of bytes from 1 MiB to 4294901760, such as 536870912 or 512MiB.',
  ],
  [
    { RAPPEL_WEBHOOK_ALLOW: "https://hooks.internal" },
    'RAPPEL_WEBHOOK_ALLOW is "https://hooks.internal" and must be a list of host names or addresses, with a port or without, such as hooks.internal,10.0.0.7:8080,[::1].',
  ],
  [{ RAPPEL_OWNER_MAX_WAITING: "0" }, 'RAPPEL_OWNER_MAX_WAITING is "0" and must be an integer from 1 to 1000000.'],
  [
    { RAPPEL_ROLE: "worker" },
    'RAPPEL_ROLE is "worker" and REDIS_URL is not set: it must name the Redis that the api uses.',
  ],
  [
    { RAPPEL_HOST: "0.0.0.0" },
    'RAPPEL_HOST is "0.0.0.0" and would let anyone who reaches this machine in: set RAPPEL_API_KEYS=name:secret, or RAPPEL_INSECURE=true to allow it, or RAPPEL_HOST=127.0.0.1.',
  ],
])("%j is refused with one sentence", (env: NodeJS.ProcessEnv, sentence) => {
  expect(() => load(env)).toThrow(sentence);
});

test.each([
  [{ REDIS_URL: "http://user:pa55word@host" }, /^REDIS_URL must be a URL such as redis:/],
  [{ RAPPEL_API_KEYS: "pa55word" }, /^RAPPEL_API_KEYS must be a list of name:secret pairs/],
  [{ RAPPEL_API_KEYS: "alice:pa55word,bob:pa55word" }, /no secret twice\.$/],
  [{ RAPPEL_ADMIN_KEY: "pa55word and more" }, /^RAPPEL_ADMIN_KEY must be a secret without blanks\.$/],
  [{ RAPPEL_API_URL: "ftp://user:pa55word@host" }, /^RAPPEL_API_URL is "ftp:\/\/…@host" and must be a URL/],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: "user:pa55word@host//a:pa55word@b" }, /^OTEL_EXPORTER_OTLP_ENDPOINT /],
  [{ RAPPEL_WEBHOOK_SECRETS: "alice:pa55word" }, /^RAPPEL_WEBHOOK_SECRETS must be a list of name:whsec_… pairs/],
  [{ RAPPEL_WEBHOOK_SECRETS: "alice:whsec_pa55word" }, /24 to 64 random bytes/],
  [{ RAPPEL_WEBHOOK_SECRETS: `alice:whsec_${Buffer.alloc(23).toString("base64")}` }, /24 to 64 random bytes/],
  [{ RAPPEL_WEBHOOK_SECRETS: `alice:whsec_${Buffer.alloc(65).toString("base64")}` }, /24 to 64 random bytes/],
  [{ RAPPEL_API_KEYS: `${"a".repeat(65)}:pa55word` }, /names of up to 64 letters/],
  [{ RAPPEL_API_KEYS: "al ice:pa55word" }, /names of up to 64 letters/],
])("a secret is not repeated where it would be logged: %#", (env: NodeJS.ProcessEnv, sentence) => {
  expect(() => load(env)).toThrow(sentence);
  expect(() => load(env)).not.toThrow(/pa55word/);
});

test("short secrets and readable key files get a warning, which does not show the secret", () => {
  const long = "0123456789abcdef";
  expect(load({ RAPPEL_API_KEYS: `alice:${long}`, RAPPEL_ADMIN_KEY: long }).warnings).toEqual([]);
  const next =
    'is shorter than 16 characters, which the next release refuses: make another with "openssl rand -hex 16"';
  const short = load({ RAPPEL_API_KEYS: `alice:${long},bob:${long.slice(1)}`, RAPPEL_ADMIN_KEY: "pa55word" });
  expect(short.warnings).toEqual([`an API key of bob ${next}`, `RAPPEL_ADMIN_KEY ${next}`]);

  const file = keysFile(`alice:${long}\ncarl:pa55word`);
  chmodSync(file, 0o600);
  expect(load({ RAPPEL_API_KEYS_FILE: file }).warnings).toEqual([`an API key of carl ${next}`]);
  for (const mode of [0o640, 0o604]) {
    chmodSync(file, mode);
    expect(load({ RAPPEL_API_KEYS_FILE: file }).warnings.at(-1)).toBe(
      `others may read RAPPEL_API_KEYS_FILE: take the right away with "chmod go= ${file}"`,
    );
  }
});

/** A new group of processes with a limit of memory; null where this user may not make one. */
function memoryGroup(bytes: number): string | null {
  const parts = { "/sys/fs/cgroup": "memory.max", "/sys/fs/cgroup/memory": "memory.limit_in_bytes" };
  for (const [root, limit] of Object.entries(parts)) {
    const group = join(root, `rappel-test-${process.pid}`);
    try {
      mkdirSync(group);
      // Else it is a plain directory, beside those of the first version of groups.
      if (!existsSync(join(group, "cgroup.procs"))) throw new Error("no group");
      writeFileSync(join(group, limit), String(bytes));
      return group;
    } catch {
      if (existsSync(group)) rmdirSync(group);
    }
  }
  return null;
}

const group = memoryGroup(768 * 1024 ** 2);
if (group === null) console.warn("skipped: this user may not limit the memory of a group of processes (cgroups)");
afterAll(() => group !== null && rmdirSync(group));

test.skipIf(group === null)("in a container its memory counts, not the machine's", () => {
  const module = JSON.stringify(new URL("../src/config.ts", import.meta.url).href);
  const script = `console.log(JSON.stringify((await import(${module})).thisMachine()))`;
  const inGroup = `echo $$ > ${group}/cgroup.procs && exec "$@"`;
  const words = ["-c", inGroup, "sh", process.execPath, "--input-type=module", "--eval", script];
  const { memoryBytes } = JSON.parse(execFileSync("/bin/sh", words, { encoding: "utf8" })) as Machine;
  expect(memoryBytes).toBe(768 * 1024 ** 2);
  expect(loadConfig({}, [], { cores: 1, memoryBytes })).toMatchObject({ maxJobBytes: 384 * 1024 ** 2 });
});

test("an unknown option is refused", () => {
  expect(() => load({}, ["--port", "80"])).toThrow(
    "Unknown option '--port': the only option is --role all|api|worker.",
  );
});

test("an address beyond loopback is allowed with keys, with RAPPEL_INSECURE, and for a worker", () => {
  expect(load({ RAPPEL_HOST: "::", RAPPEL_API_KEYS: "a:b" }).host).toBe("::");
  expect(load({ RAPPEL_HOST: "0.0.0.0", RAPPEL_INSECURE: "true" }).host).toBe("0.0.0.0");
  expect(load({ RAPPEL_HOST: "0.0.0.0", RAPPEL_ROLE: "worker", REDIS_URL: "redis://h" }).role).toBe("worker");
});

test("native kernels are refused where there are none, rather than replaced in silence", () => {
  if (nativeSets().length > 0) expect(load({ RAPPEL_KERNELS: "native" }).kernels).toBe("native");
  else expect(() => load({ RAPPEL_KERNELS: "native" })).toThrow("no native kernels are built here: use auto or wasm");
});

test("a worker port gets a warning unless the role is worker", () => {
  expect(load({ RAPPEL_WORKER_PORT: "0", RAPPEL_ROLE: "worker", REDIS_URL: "redis://127.0.0.1" }).warnings).toEqual([]);
  expect(load({ RAPPEL_WORKER_PORT: "8081" }).warnings).toEqual([
    "RAPPEL_WORKER_PORT has no effect with RAPPEL_ROLE=all, which serves /healthz, /readyz and /metrics on RAPPEL_PORT",
  ]);
  expect(load({ RAPPEL_WORKER_PORT: "8081", RAPPEL_ROLE: "api" }).warnings).toHaveLength(1);
});
