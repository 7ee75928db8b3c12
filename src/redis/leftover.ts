// The server that a killed service may have left running: what we know about it, and how we ask
// and end it.
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { z } from "zod";
import { StartFailure } from "../start-failure.ts";
import { here, isRunning, type ProcessIdentity } from "./process.ts";

const ANSWER_TIMEOUT_MS = 5000;
const END_TIMEOUT_MS = 10_000;
const POLL_MS = 20;

const recordSchema = z.object({
  socket: z.string().endsWith("/redis.sock"),
  /** Where the process id is valid. Earlier versions did not record it. */
  place: z.string().default(here),
  /** Null until the server has been spawned. */
  process: z.object({ pid: z.int().positive(), started: z.string(), place: z.string().default(here) }).nullable(),
});

/** Records where a service's server is, for the next service. */
export type ServerRecord = z.infer<typeof recordSchema>;

export function writeRecord(file: string, record: ServerRecord): void {
  const complete = `${file}.new`;
  writeFileSync(complete, JSON.stringify(record));
  renameSync(complete, file);
}

/** Returns null if there is no record that can be read. */
export function readRecord(file: string): ServerRecord | null {
  try {
    return recordSchema.parse(JSON.parse(readFileSync(file, "utf8")));
  } catch {
    return null;
  }
}

/** The process that answers at a socket, and where its data are. Null if none answers in time. */
export async function askServer(socket: string): Promise<{ pid: number; directory: string } | null> {
  const redis = new Redis(socket, { lazyConnect: true, enableReadyCheck: false, retryStrategy: () => null });
  redis.on("error", () => undefined);
  const ask = async () => {
    const [, directory] = (await redis.config("GET", "dir")) as [string, string];
    const pid = /^process_id:(\d+)/m.exec(await redis.info("server"));
    return pid && { pid: Number(pid[1]), directory };
  };
  const answer = ask().catch(() => null);
  try {
    return await Promise.race([answer, sleep(ANSWER_TIMEOUT_MS, null, { ref: false })]);
  } finally {
    redis.disconnect();
  }
}

/** Gives an adopted server the limits of the service that adopts it. */
export async function adjustServer(socket: string, maxBytes: number): Promise<void> {
  const redis = new Redis(socket);
  redis.on("error", () => undefined);
  try {
    await redis.config("SET", "maxmemory", maxBytes, "maxmemory-policy", "noeviction");
  } finally {
    redis.disconnect();
  }
}

/** Ends the server, after it has written everything. A server that does not react is killed. */
export async function endServer(process: ProcessIdentity): Promise<void> {
  signal(process, "SIGTERM");
  // A stopped process reacts to SIGTERM only when it continues.
  signal(process, "SIGCONT");
  const deadline = Date.now() + END_TIMEOUT_MS;
  while (isRunning(process) && Date.now() < deadline) await sleep(POLL_MS);
  if (!isRunning(process)) return;
  killServer(process);
  while (isRunning(process)) await sleep(POLL_MS);
}

export function killServer(process: ProcessIdentity): void {
  signal(process, "SIGKILL");
}

function signal(identity: ProcessIdentity, name: NodeJS.Signals): void {
  try {
    process.kill(identity.pid, name);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ESRCH") return;
    throw new StartFailure(
      `The Redis with process id ${identity.pid} still uses this data directory and may not be ended from here (${code}): end it with "sudo kill ${identity.pid}".`,
    );
  }
}
