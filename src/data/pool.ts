/**
 * A few threads for work on datasets that would hold up an event loop: parsing uploads, encoding. A thread is started
 * when it is first needed, does one task at a time, and keeps the process alive only while it does.
 */
import { Worker } from "node:worker_threads";
import type { Tasks } from "./helper.ts";

const MAX_THREADS = 4;

export interface Request {
  readonly task: keyof Tasks;
  readonly input: unknown;
}

/** `code`: the error's, which would be lost on the way between threads. */
export type Reply = { readonly result: unknown } | { readonly error: Error; readonly code?: string };

type Input<T extends keyof Tasks> = Parameters<Tasks[T]>[0];
type Result<T extends keyof Tasks> = Awaited<ReturnType<Tasks[T]>>;

interface Waiting {
  readonly request: Request;
  readonly settle: (reply: Reply) => void;
}

const waiting: Waiting[] = [];
const idle: Helper[] = [];
let threads = 0;

/** Runs a task of helper.ts in one of the threads. */
export function runInHelper<T extends keyof Tasks>(task: T, input: Input<T>): Promise<Result<T>> {
  return new Promise((resolve, reject) => {
    waiting.push({
      request: { task, input },
      settle: (reply) => ("error" in reply ? reject(withCode(reply)) : resolve(reply.result as Result<T>)),
    });
    assign();
  });
}

function withCode({ error, code }: Extract<Reply, { error: Error }>): Error {
  return code === undefined ? error : Object.assign(error, { code });
}

/** Gives the task that waits longest to a thread, if one is free. */
function assign(): void {
  const next = waiting.shift();
  if (next === undefined) return;
  const helper = idle.pop() ?? (threads < MAX_THREADS ? new Helper() : undefined);
  if (helper === undefined) waiting.unshift(next);
  else helper.run(next);
}

class Helper {
  readonly #worker = new Worker(new URL("./helper.ts", import.meta.url));
  #settle: ((reply: Reply) => void) | null = null;

  constructor() {
    threads++;
    this.#worker.on("message", (reply: Reply) => {
      this.#finish(reply);
      this.#worker.unref();
      idle.push(this);
      assign();
    });
    // A thread that dies (of a lack of memory) takes only its task with it.
    this.#worker.on("error", (error: Error) => this.#finish({ error }));
    this.#worker.on("exit", () => {
      threads--;
      const at = idle.indexOf(this);
      if (at >= 0) idle.splice(at, 1);
      assign();
    });
  }

  run({ request, settle }: Waiting): void {
    this.#settle = settle;
    this.#worker.ref();
    this.#worker.postMessage(request);
  }

  #finish(reply: Reply): void {
    this.#settle?.(reply);
    this.#settle = null;
  }
}
