/** The connection to Redis, the calls of scripts, and what the errors of Redis mean to us. */
import type { Socket } from "node:net";
import { ReplyError, type Redis, type RedisOptions } from "ioredis";
import { Incomplete, LeaseLost, NoRoom, OverLimit, RowsLost, Unavailable, type LimitedKind } from "./errors.ts";
import { library } from "./library.ts";

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
  #loading: Promise<boolean> | null = null;
  #loaded = false;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** Runs `lua/<script>.lua`. */
  async run<T>(script: string, key: string, ...args: Argument[]): Promise<T> {
    return (await this.#call(script, (command, code) => this.#redis.call(command, code, 1, key, ...args))) as T;
  }

  /** The same. Texts in the answer are bytes. */
  async runBuffer<T>(script: string, key: string, ...args: Argument[]): Promise<T> {
    return (await this.#call(script, (command, code) => this.#redis.callBuffer(command, code, 1, key, ...args))) as T;
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

  async #call(script: string, call: (command: string, code: string) => Promise<unknown>): Promise<unknown> {
    this.#joinWrites();
    const byName = () => call("FCALL", library.functionOf(script));
    try {
      return await byName();
    } catch (error) {
      if (!isMissing(error)) throw translated(error);
    }
    return await available(async () => {
      const isLoaded = await (this.#loading ??= this.#load());
      return isLoaded ? await byName() : await call("EVAL", library.scriptOf(script));
    });
  }

  /**
   * Loads the library. The first time, removes those of other versions, so that they do not pile
   * up. A process of another version that still runs loads its own again, and removes no more.
   * Returns false if Redis is too full for it.
   */
  async #load(): Promise<boolean> {
    try {
      await this.#redis.function("LOAD", "REPLACE", library.code);
      if (this.#loaded) return true;
      this.#loaded = true;
      const found = (await this.#redis.function("LIST", "LIBRARYNAME", library.anyName)) as string[][];
      const others = found.map(([, name]) => name).filter((name) => name !== library.name);
      await Promise.all(others.map((name) => this.#redis.function("DELETE", name).catch(() => undefined)));
      return true;
    } catch (error) {
      if (isFull(error)) return false;
      throw error;
    } finally {
      this.#loading = null;
    }
  }
}

/** Whether Redis has no memory for the command. */
function isFull(error: unknown): boolean {
  return error instanceof ReplyError && (error as Error).message.startsWith("OOM");
}

/** Whether Redis does not have the library. */
function isMissing(error: unknown): boolean {
  return error instanceof ReplyError && (error as Error).message.startsWith("ERR Function not found");
}

/** Translates the errors of `commands` into ours. They should do nothing but talk to Redis. */
export async function available<T>(commands: () => Promise<T>): Promise<T> {
  try {
    return await commands();
  } catch (error) {
    throw translated(error);
  }
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
