// The configuration, which is read once at the start: the environment (an empty variable counts as
// unset) and `--role` on the command line. A bad value stops the start with one sentence that names
// the variable, what is wrong with it and what would be right.
import { availableParallelism, totalmem } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { z } from "zod";
import {
  ambiguous,
  apiKey,
  isOpenToOthers,
  isShort,
  named,
  readKeysFile,
  shortSecretWarning,
  webhookSecret,
  type ApiKey,
} from "./secrets.ts";
import { nativeSets } from "./engine/kernels/native.ts";
import { StartFailure } from "./start-failure.ts";
import type { OwnerLimits } from "./store/store.ts";

const KiB = 1024;
const MiB = 1024 * KiB;
const GiB = 1024 * MiB;

/**
 * A job's memory is one WebAssembly memory, whose addresses have 32 bits. Its last page stays
 * unused.
 */
const WASM_MEMORY_BYTES = 4 * GiB - 64 * KiB;

/** What the defaults depend on. Both numbers respect the quotas of a container. */
export interface Machine {
  readonly cores: number;
  readonly memoryBytes: number;
}

export function thisMachine(): Machine {
  const quota = process.constrainedMemory();
  const memoryBytes = quota > 0 ? Math.min(quota, totalmem()) : totalmem();
  return { cores: availableParallelism(), memoryBytes };
}

function integer(from: number, to: number) {
  const error = `must be an integer from ${from} to ${to}`;
  return z
    .string()
    .regex(/^\d+$/, { error })
    .transform(Number)
    .pipe(z.int({ error }).min(from, { error }).max(to, { error }));
}

function bytes(from: number, to: number) {
  const error = `must be a number of bytes from ${sizeText(from)} to ${sizeText(to)}, such as 536870912 or 512MiB`;
  return z
    .string()
    .regex(/^\d+(\.\d+)?\s*([KMG]iB)?$/i, { error })
    .transform(parseSize)
    .pipe(z.int({ error }).min(from, { error }).max(to, { error }));
}

function parseSize(text: string): number {
  const units: Record<string, number> = { k: KiB, m: MiB, g: GiB };
  const unit = /[kmg](?=ib$)/i.exec(text)?.[0].toLowerCase();
  return Math.floor(Number.parseFloat(text) * (unit === undefined ? 1 : units[unit]));
}

function sizeText(size: number): string {
  if (size % GiB === 0) return `${size / GiB} GiB`;
  return size % MiB === 0 ? `${size / MiB} MiB` : String(size);
}

function choice<const T extends readonly [string, ...string[]]>(values: T) {
  return z.enum(values, { error: `must be one of ${values.join(", ")}` });
}

function url(protocols: string[], example: string) {
  const valid = (text: string) => URL.canParse(text) && protocols.includes(new URL(text).protocol);
  return z.string().refine(valid, { error: `must be a URL such as ${example}` });
}

function list<T>(parse: (item: string) => T | null, error: string) {
  return z.string().transform((text, context): T[] => {
    const items = text.split(",").map((item) => parse(item.trim()));
    if (items.includes(null)) context.addIssue({ code: "custom", message: error });
    return items.filter((item) => item !== null);
  });
}

const keysError =
  "must be a list of name:secret pairs such as alice:$(openssl rand -hex 16), names of up to 64 letters, digits, - and _, no secret twice";

const apiKeys = list((item) => {
  const key = named(item);
  return key && apiKey(key.name, key.secret);
}, keysError).refine((keys) => !ambiguous(keys), { error: keysError });

/**
 * An owner may have several secrets. All of them sign, so that one can be replaced while receivers
 * still know the other.
 */
const webhookSecrets = list((item) => {
  const pair = named(item);
  const secret = pair && webhookSecret(pair.secret);
  return secret && { owner: pair.name, secret };
}, "must be a list of name:whsec_… pairs, whsec_ followed by the base64 of 24 to 64 random bytes (openssl rand -base64 32)");

/** Hosts as they stand in a URL, with or without a port. */
const hosts = list((item) => {
  const [, host = "", port = ""] = /^(.+?)(:\d{1,5})?$/.exec(item.toLowerCase()) ?? [];
  const text = `https://${host}${port}`;
  return URL.canParse(text) && new URL(text).hostname === host ? `${host}${port}` : null;
}, "must be a list of host names or addresses, with a port or without, such as hooks.internal,10.0.0.7:8080,[::1]");

const redisUrl = z.union(
  [
    url(["redis:", "rediss:"], "redis://127.0.0.1:6379"),
    url(["unix:"], "").transform((text) => decodeURIComponent(new URL(text).pathname)),
    z.string().startsWith("/"),
  ],
  {
    error: "must be a URL such as redis://127.0.0.1:6379, rediss://user:password@host:6379/0 or unix:///run/redis.sock",
  },
);

const storeUrl = z
  .string()
  .refine((text) => URL.canParse(text) && new URL(text).protocol === "file:" && new URL(text).host === "", {
    error: "must be the URL of a directory, such as file:///srv/rappel",
  })
  .transform((text) => fileURLToPath(text));

/** The only definition of the environment. docs/configuration.md says the same in prose. */
function variables(machine: Machine) {
  const redisMaxBytes = clamp(machine.memoryBytes / 4, 256 * MiB, 16 * GiB);
  return z.object({
    RAPPEL_ROLE: choice(["all", "api", "worker"]).default("all"),
    RAPPEL_HOST: z.string().default("127.0.0.1"),
    RAPPEL_PORT: integer(0, 65535).default(8080),
    RAPPEL_WORKER_PORT: integer(0, 65535).optional(),
    RAPPEL_DATA_DIR: z.string().default("./data"),
    REDIS_URL: redisUrl.optional(),
    RAPPEL_STORE_URL: storeUrl.optional(),
    RAPPEL_API_URL: url(["http:", "https:"], "http://127.0.0.1:8080").optional(),
    RAPPEL_API_KEYS: apiKeys.default([]),
    RAPPEL_API_KEYS_FILE: z.string().optional(),
    RAPPEL_ADMIN_KEY: z.string().regex(/^\S+$/, { error: "must be a secret without blanks" }).optional(),
    OTEL_EXPORTER_OTLP_ENDPOINT: url(["http:", "https:"], "http://127.0.0.1:4318").optional(),
    RAPPEL_INSECURE: choice(["true", "false"]).default("false"),
    RAPPEL_THREADS: integer(1, 64).default(Math.min(machine.cores, 64)),
    RAPPEL_JOBS: integer(1, 64).optional(),
    RAPPEL_PREDICT_THREADS: integer(1, 64).default(1),
    RAPPEL_PREDICT_MAX_BYTES: bytes(MiB, WASM_MEMORY_BYTES).default(
      clamp(machine.memoryBytes / 16, 64 * MiB, 512 * MiB),
    ),
    RAPPEL_KERNELS: choice(["auto", "wasm", "native"]).default("auto"),
    RAPPEL_LEASE_MS: integer(250, 600_000).default(5000),
    RAPPEL_SHUTDOWN_MS: integer(0, 600_000).default(10_000),
    RAPPEL_KEEP_JOBS_DAYS: integer(1, 36_500).default(30),
    RAPPEL_LOG_LEVEL: choice(["trace", "debug", "info", "warn", "error", "fatal", "silent"]).default("info"),
    RAPPEL_INSTALL: choice(["auto", "never"]).default("auto"),
    RAPPEL_REDIS_MAX_BYTES: bytes(16 * MiB, 1024 * GiB).default(redisMaxBytes),
    RAPPEL_MAX_JOB_BYTES: bytes(MiB, WASM_MEMORY_BYTES).default(
      clamp(machine.memoryBytes / 2, 256 * MiB, WASM_MEMORY_BYTES),
    ),
    // A job keeps several checkpoints (the last three, the best, the one being written), and
    // shares Redis with others.
    RAPPEL_MAX_STATE_BYTES: bytes(MiB, WASM_MEMORY_BYTES).default(clamp(redisMaxBytes / 10, 32 * MiB, 512 * MiB)),
    RAPPEL_MAX_DATASET_BYTES: bytes(KiB, 4 * GiB).default(512 * MiB),
    RAPPEL_OWNER_MAX_WAITING: integer(1, 1_000_000).optional(),
    RAPPEL_OWNER_MAX_RUNNING: integer(1, 1_000_000).optional(),
    RAPPEL_OWNER_MAX_DATASET_BYTES: bytes(KiB, 1024 * GiB).optional(),
    RAPPEL_OWNER_MAX_CHECKPOINT_BYTES: bytes(KiB, 1024 * GiB).optional(),
    RAPPEL_OWNER_MAX_ARCHIVED_BYTES: bytes(KiB, 1024 * 1024 * GiB).optional(),
    RAPPEL_OWNER_REQUESTS_PER_MINUTE: integer(1, 1_000_000).optional(),
    RAPPEL_WEBHOOK_SECRETS: webhookSecrets.default([]),
    RAPPEL_WEBHOOK_ALLOW: hosts.default([]),
    RAPPEL_MAX_CACHE_BYTES: bytes(0, 1024 * GiB).default(10 * GiB),
  });
}

function clamp(value: number, from: number, to: number): number {
  return Math.floor(Math.min(Math.max(value, from), to));
}

/**
 * Where owners share a service, each has limits. The number of running jobs needs none: owners
 * take turns, and a limit would leave workers idle.
 */
function ownerLimits(values: z.output<ReturnType<typeof variables>>, shared: boolean): OwnerLimits {
  const unless = (value: number | undefined, inDoubt: number) => value ?? (shared ? inDoubt : null);
  return {
    waiting: unless(values.RAPPEL_OWNER_MAX_WAITING, 1000),
    running: values.RAPPEL_OWNER_MAX_RUNNING ?? null,
    dataset_bytes: unless(values.RAPPEL_OWNER_MAX_DATASET_BYTES, 8 * GiB),
    checkpoint_bytes: unless(values.RAPPEL_OWNER_MAX_CHECKPOINT_BYTES, Math.floor(values.RAPPEL_REDIS_MAX_BYTES / 2)),
    archived_bytes: unless(values.RAPPEL_OWNER_MAX_ARCHIVED_BYTES, 64 * GiB),
  };
}

export type Config = ReturnType<typeof loadConfig>;

/** @throws StartFailure with the sentence to print. */
export function loadConfig(env: NodeJS.ProcessEnv, args: readonly string[], machine: Machine = thisMachine()) {
  const schema = variables(machine);
  const given = Object.entries({ ...env, ...commandLine(args) }).filter(
    ([, value]) => value !== undefined && value !== "",
  );
  const parsed = schema.safeParse(Object.fromEntries(given));
  if (!parsed.success) throw badVariable(parsed.error.issues[0], Object.fromEntries(given));
  const values = parsed.data;
  const keys = allKeys(values);
  const config = {
    role: values.RAPPEL_ROLE,
    host: values.RAPPEL_HOST,
    port: values.RAPPEL_PORT,
    /** The port where a worker serves its health and metrics; null for none. */
    workerPort: values.RAPPEL_WORKER_PORT ?? null,
    dataDirectory: resolve(values.RAPPEL_DATA_DIR),
    /** The argument for `new Redis(…)`; null for the embedded Redis. */
    redisUrl: values.REDIS_URL ?? null,
    /** Where ended jobs are moved to. */
    archive: archiveOf(values),
    /** Where a worker gets the datasets that it lacks; null: from nowhere. */
    apiUrl: values.RAPPEL_API_URL ?? null,
    /** Empty: there is no authentication and only one owner. */
    apiKeys: keys,
    /** The key of the queues' dashboard; null for no dashboard. */
    adminKey: values.RAPPEL_ADMIN_KEY ?? null,
    /** Whether to send traces. The exporter itself reads where to. */
    traces: values.OTEL_EXPORTER_OTLP_ENDPOINT !== undefined,
    ownerLimits: ownerLimits(values, keys.length > 0),
    /** The limit of one owner; null for none. */
    requestsPerMinute: values.RAPPEL_OWNER_REQUESTS_PER_MINUTE ?? (keys.length > 0 ? 6000 : null),
    /** The secrets of each owner. */
    webhookSecrets: secretsByOwner(values.RAPPEL_WEBHOOK_SECRETS),
    webhookHosts: values.RAPPEL_WEBHOOK_ALLOW,
    threads: values.RAPPEL_THREADS,
    jobs: values.RAPPEL_JOBS ?? Math.min(machine.cores, 64),
    /**
     * The memory that jobs may take together. Without RAPPEL_JOBS it is no more than one job at a
     * time may take, or half of the machine's: many small jobs, or one large one.
     */
    jobsBytes: Math.max(values.RAPPEL_MAX_JOB_BYTES * (values.RAPPEL_JOBS ?? 1), Math.floor(machine.memoryBytes / 2)),
    predictThreads: values.RAPPEL_PREDICT_THREADS,
    /** For the models that each prediction thread keeps. */
    predictMaxBytes: values.RAPPEL_PREDICT_MAX_BYTES,
    kernels: values.RAPPEL_KERNELS,
    leaseMs: values.RAPPEL_LEASE_MS,
    shutdownMs: values.RAPPEL_SHUTDOWN_MS,
    keepJobsDays: values.RAPPEL_KEEP_JOBS_DAYS,
    logLevel: values.RAPPEL_LOG_LEVEL,
    install: values.RAPPEL_INSTALL,
    redisMaxBytes: values.RAPPEL_REDIS_MAX_BYTES,
    maxJobBytes: values.RAPPEL_MAX_JOB_BYTES,
    maxStateBytes: values.RAPPEL_MAX_STATE_BYTES,
    maxDatasetBytes: values.RAPPEL_MAX_DATASET_BYTES,
    maxCacheBytes: values.RAPPEL_MAX_CACHE_BYTES,
    /** Settings that are allowed but unwise, for the log. */
    warnings: warningsOf(values, keys),
  } as const;
  assertConsistent(config, values.RAPPEL_INSECURE === "true");
  return config;
}

function archiveOf({
  RAPPEL_DATA_DIR: dataDirectory,
  RAPPEL_STORE_URL: directory,
  RAPPEL_ROLE: role,
  REDIS_URL: redisUrl,
  RAPPEL_API_URL: apiUrl,
}: z.output<ReturnType<typeof variables>>) {
  return {
    directory: directory ?? join(resolve(dataDirectory), "archive"),
    /**
     * Whether this process may move jobs there. The API of an embedded Redis is alone. Where there
     * may be others, they must be able to read the archive.
     */
    isShared: redisUrl === undefined || directory !== undefined,
    /** Whether this process, a worker, reads it through the API. */
    isRemote: role === "worker" && directory === undefined && apiUrl !== undefined,
  };
}

function allKeys(values: { RAPPEL_API_KEYS: ApiKey[]; RAPPEL_API_KEYS_FILE?: string }): readonly ApiKey[] {
  const file = values.RAPPEL_API_KEYS_FILE;
  if (file === undefined) return values.RAPPEL_API_KEYS;
  const keys = [...values.RAPPEL_API_KEYS, ...readKeysFile(file)];
  if (ambiguous(keys))
    throw new StartFailure("RAPPEL_API_KEYS_FILE must not hold a secret twice, or one of RAPPEL_API_KEYS.");
  return keys;
}

function warningsOf(
  {
    RAPPEL_ADMIN_KEY: adminKey,
    RAPPEL_API_KEYS_FILE: file,
    RAPPEL_ROLE: role,
    RAPPEL_WORKER_PORT: workerPort,
  }: z.output<ReturnType<typeof variables>>,
  keys: readonly ApiKey[],
): string[] {
  const warnings = keys.filter(({ short }) => short).map(({ owner }) => shortSecretWarning(`an API key of ${owner}`));
  if (adminKey !== undefined && isShort(adminKey)) warnings.push(shortSecretWarning("RAPPEL_ADMIN_KEY"));
  if (file !== undefined && isOpenToOthers(file)) {
    warnings.push(`others may read RAPPEL_API_KEYS_FILE: take the right away with "chmod go= ${file}"`);
  }
  if (workerPort !== undefined && role !== "worker") {
    warnings.push(
      `RAPPEL_WORKER_PORT has no effect with RAPPEL_ROLE=${role}, which serves /healthz, /readyz and /metrics on RAPPEL_PORT`,
    );
  }
  return warnings;
}

function secretsByOwner(secrets: readonly { owner: string; secret: Buffer }[]): ReadonlyMap<string, readonly Buffer[]> {
  const groups = Map.groupBy(secrets, ({ owner }) => owner);
  return new Map([...groups].map(([owner, group]) => [owner, group.map(({ secret }) => secret)]));
}

/** `--role worker` is RAPPEL_ROLE=worker. */
function commandLine(args: readonly string[]): NodeJS.ProcessEnv {
  try {
    const { role } = parseArgs({ args: [...args], options: { role: { type: "string" } } }).values;
    return role === undefined ? {} : { RAPPEL_ROLE: role };
  } catch (error) {
    throw new StartFailure(`${(error as Error).message.split(". ")[0]}: the only option is --role all|api|worker.`);
  }
}

const SECRET = new Set(["RAPPEL_ADMIN_KEY", "RAPPEL_API_KEYS", "RAPPEL_WEBHOOK_SECRETS", "REDIS_URL"]);

function badVariable(issue: z.core.$ZodIssue, given: NodeJS.ProcessEnv): StartFailure {
  const name = String(issue.path[0]);
  // A URL may hold a password.
  const shown = given[name]?.replace(/^(\w+:\/\/)?.*@/, "$1…@");
  const value = SECRET.has(name) ? "" : `is ${JSON.stringify(shown)} and `;
  return new StartFailure(`${name} ${value}${issue.message}.`);
}

function assertConsistent(
  config: { role: string; host: string; kernels: string; redisUrl: string | null; apiKeys: readonly ApiKey[] },
  insecure: boolean,
) {
  if (config.role === "worker" && config.redisUrl === null) {
    throw new StartFailure(
      'RAPPEL_ROLE is "worker" and REDIS_URL is not set: it must name the Redis that the api uses.',
    );
  }
  if (config.kernels === "native" && nativeSets().length === 0) {
    throw new StartFailure('RAPPEL_KERNELS is "native" and no native kernels are built here: use auto or wasm.');
  }
  if (config.role !== "worker" && !isLoopback(config.host) && config.apiKeys.length === 0 && !insecure) {
    throw new StartFailure(
      `RAPPEL_HOST is ${JSON.stringify(config.host)} and would let anyone who reaches this machine in: set RAPPEL_API_KEYS=name:secret, or RAPPEL_INSECURE=true to allow it, or RAPPEL_HOST=127.0.0.1.`,
    );
  }
}

export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}
