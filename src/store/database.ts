/** The connection to Redis, the scripts that run there, and what its errors mean to us. */
import { readdirSync, readFileSync } from "node:fs";
import type { Socket } from "node:net";
import { ReplyError, type Redis, type RedisOptions } from "ioredis";
import { Incomplete, LeaseLost, NoRoom, OverLimit, RowsLost, Unavailable, type LimitedKind } from "./errors.ts";
import * as roomNumbers from "./room-numbers.ts";

/**
 * A server that owes an answer and is silent for so long counts as away. So every request is
 * answered within two seconds.
 */
const SILENCE_MS = 1500;

/**
 * The settings of the store's connection. While Redis is away, commands fail at once instead of
 * waiting in a queue: a request must be answered with 503, and a run must notice.
 */
export const storeConnection: RedisOptions = {
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  socketTimeout: SILENCE_MS,
};

type Argument = string | number | Buffer;

export class Database {
  readonly #redis: Redis;
  #isJoining = false;

  constructor(redis: Redis) {
    this.#redis = redis;
    for (const [name, lua] of scripts) redis.defineCommand(name, { lua, numberOfKeys: 1 });
  }

  /** Runs `lua/<script>.lua`. */
  async run<T>(script: string, key: string, ...args: Argument[]): Promise<T> {
    const command = (this.#redis as unknown as Record<string, (...args: Argument[]) => Promise<T>>)[script];
    return await this.use(() => command.call(this.#redis, key, ...args));
  }

  /** The same. Texts in the answer are bytes. */
  async runBuffer<T>(script: string, key: string, ...args: Argument[]): Promise<T> {
    return await this.run(`${script}Buffer`, key, ...args);
  }

  /** Runs commands that need no script. */
  async use<T>(commands: (redis: Redis) => Promise<T>): Promise<T> {
    this.#joinWrites();
    return await available(() => commands(this.#redis));
  }

  /**
   * Writes all commands of this turn at once. The client would write each by itself, and to write
   * costs as much as to make the command.
   */
  #joinWrites(): void {
    const { stream } = this.#redis as unknown as { readonly stream?: Socket | null };
    if (this.#isJoining || !stream) return;
    this.#isJoining = true;
    stream.cork();
    process.nextTick(() => {
      this.#isJoining = false;
      stream.uncork();
    });
  }
}

/** Translates the errors of `commands` into ours. They should do nothing but talk to Redis. */
export async function available<T>(commands: () => Promise<T>): Promise<T> {
  try {
    return await commands();
  } catch (error) {
    throw translated(error);
  }
}

/** What the scripts share, in this order, and what ends each of them. */
const SHARED = [
  "shared/base.lua",
  "shared/room.lua",
  "shared/events.lua",
  "shared/rows.lua",
  "shared/queue.lua",
  "shared/job.lua",
  "shared/begin.lua",
];
const END = "shared/end.lua";

/**
 * Each script is one file. Its first line holds the flags for Redis. The rest becomes a function
 * between the shared files.
 */
const scripts = loadScripts(new URL("lua/", import.meta.url));

function loadScripts(directory: URL): Map<string, string> {
  const read = (file: string) => readFileSync(new URL(file, directory), "utf8");
  const numbers = Object.entries(roomNumbers).map(([name, value]) => `local ${name} = ${value}\n`);
  const shared = [...numbers, ...SHARED.map(read)].join("");
  const names = readdirSync(directory).filter((file) => file.endsWith(".lua"));
  const whole = (file: string) =>
    `${read(file).replace("\n", () => `\n${shared}\nlocal function script()\n`)}${read(END)}`;
  return new Map(names.map((file) => [file.replace(".lua", ""), whole(file)]));
}

/** The beginnings of refusals that are due to the state of Redis and not to the command. */
const transient =
  /^(OOM|LOADING|BUSY|READONLY|MISCONF|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|NOREPLICAS|NOAUTH|NOPERM|WRONGPASS)\b/;

/**
 * The messages with which the client says that a command got no answer because of the connection.
 * It has no classes for these errors, and few codes.
 */
const unanswered = /^(Connection is closed|Stream isn't writeable|Socket timeout|Command aborted|connect ETIMEDOUT)/;
const unansweredNames = new Set(["AbortError", "MaxRetriesPerRequestError"]);

/**
 * Whether the connection failed, so that the same call may work later. Any other error would come
 * again.
 */
function isConnectionError(error: Error): boolean {
  return "syscall" in error || unansweredNames.has(error.name) || unanswered.test(error.message);
}

function translated(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { message } = error;
  if (!(error instanceof ReplyError)) {
    if (!isConnectionError(error)) return error;
    return new Unavailable(`Redis cannot be reached: ${message}`, { cause: error });
  }
  if (message.startsWith("FENCED")) return new LeaseLost("the lease is someone else's");
  if (message.startsWith("LIMITED")) return overLimit(message);
  if (message.startsWith("FULL")) return noRoom(message);
  if (message.startsWith("GAP")) return new RowsLost("rows of metrics that were written are not there");
  if (message.startsWith("INCOMPLETE")) return new Incomplete("what was uploaded has expired");
  if (!transient.test(message)) return withoutCommand(error);
  return new Unavailable(`Redis refuses: ${message}`, { full: message.startsWith("OOM"), cause: error });
}

/**
 * The client adds everything that was sent to an error. That may be large or secret, and does not
 * belong in the log.
 */
function withoutCommand(error: Error & { command?: unknown }): Error {
  delete error.command;
  return error;
}

function noRoom(message: string): NoRoom {
  const [need, free, limit] = message.split(" ").slice(1).map(Number);
  return new NoRoom(need, free, limit);
}

function overLimit(message: string): OverLimit {
  const [, what, limit, used, more] = message.split(" ");
  return new OverLimit(what as LimitedKind, Number(limit), Number(used), Number(more));
}
