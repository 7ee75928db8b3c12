/*
 * A few threads for work on datasets that would block an event loop, such as parsing and encoding.
 * A thread is started when it is first needed, and ended when it has had nothing to do for a while.
 * It does one task at a time, and keeps the process alive only while it works.
 *
 * Owners take turns. A free thread takes the oldest task of the owner whose turn is longest ago. No
 * owner has all threads at once, so that a short task of another finds a free one. The number of
 * waiting tasks is limited. A task whose client has gone is abandoned: it leaves the queue, or its
 * thread is ended.
 */
import { Worker } from "node:worker_threads";
import { isShortage, MemoryShortage } from "../engine/crew/shortage.ts";
import type { Tasks } from "./helper.ts";
import type { Reply, Request, TaskTable } from "./serve.ts";

const MAX_THREADS = 4;

/**
 * How many tasks may run and wait. A client may ask for a hundred things at once without any bad
 * intent.
 */
export interface PoolLimits {
  readonly runningOfOwner: number;
  readonly waitingOfOwner: number;
  readonly waiting: number;
  /** How long a thread is kept after its last task. */
  readonly idleMs: number;
}

const limits: PoolLimits = { runningOfOwner: MAX_THREADS / 2, waitingOfOwner: 100, waiting: 1000, idleMs: 20_000 };

/** For whom a task is done. */
export interface Caller {
  /** Null: this process itself, whose tasks are never refused. */
  readonly owner: string | null;
  /** Aborts once nobody waits for the result any more. */
  readonly signal?: AbortSignal;
}

export const thisProcess: Caller = { owner: null };

/** There are too many tasks at the moment. Later there may be fewer. */
export class PoolBusy extends Error {
  override readonly name = "PoolBusy";
  /** Whether the tasks that wait are those of the owner or those of all owners. */
  readonly scope: "own" | "all";
  readonly waiting: number;

  constructor(scope: "own" | "all", waiting: number) {
    super(`${waiting} tasks wait for a helper thread`);
    this.scope = scope;
    this.waiting = waiting;
  }
}

/** There is no memory for a task at the moment. */
export class TaskShortage extends MemoryShortage {}

/** The client is gone. */
export class Abandoned extends Error {
  override readonly name = "Abandoned";
}

interface Task {
  readonly request: Request;
  readonly owner: string | null;
  readonly settle: (reply: Reply) => void;
}

export class Pool {
  readonly #program: URL;
  readonly #limits: PoolLimits;
  /** By owner, in the order of their turns. Only owners with waiting tasks are here. */
  readonly #waiting = new Map<string | null, Task[]>();
  readonly #running = new Map<Task, Helper>();
  readonly #idle: Helper[] = [];
  #threads = 0;

  constructor(program: URL, limits: PoolLimits) {
    this.#program = program;
    this.#limits = limits;
  }

  /** The number of threads that there are now. */
  get threads(): number {
    return this.#threads;
  }

  async run(request: Request, { owner, signal }: Caller): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    if (signal?.aborted) throw new Abandoned();
    if (owner !== null) this.#assertRoom(owner);
    const abandon = () => void this.#abandon(task);
    const settle = (reply: Reply) => {
      signal?.removeEventListener("abort", abandon);
      if ("error" in reply) reject(withFacts(reply));
      else resolve(reply.result);
    };
    const task: Task = { request, owner, settle };
    signal?.addEventListener("abort", abandon, { once: true });
    const own = this.#waiting.get(owner);
    if (own === undefined) this.#waiting.set(owner, [task]);
    else own.push(task);
    this.#assign();
    return await promise;
  }

  #assertRoom(owner: string): void {
    const own = this.#waiting.get(owner)?.length ?? 0;
    if (own >= this.#limits.waitingOfOwner) throw new PoolBusy("own", own);
    const all = [...this.#waiting.values()].reduce((sum, tasks) => sum + tasks.length, 0);
    if (all >= this.#limits.waiting) throw new PoolBusy("all", all);
  }

  /** Gives tasks to free threads, in the order of turns. */
  #assign(): void {
    for (const [owner, tasks] of this.#waiting) {
      if (this.#idle.length === 0 && this.#threads === MAX_THREADS) return;
      const running = [...this.#running.keys()].filter((task) => task.owner === owner).length;
      if (owner !== null && running >= this.#limits.runningOfOwner) continue;
      const task = tasks.shift()!;
      // An owner who was served comes last now. A map's loop also reaches entries that are added
      // meanwhile.
      this.#waiting.delete(owner);
      if (tasks.length > 0) this.#waiting.set(owner, tasks);
      this.#start(task);
    }
  }

  #start(task: Task): void {
    const helper = this.#idle.pop() ?? this.#newHelper();
    this.#running.set(task, helper);
    helper.run(task.request, (reply) => {
      this.#running.delete(task);
      task.settle(reply);
    });
  }

  #newHelper(): Helper {
    this.#threads++;
    const helper: Helper = new Helper(this.#program, {
      onIdle: () => {
        this.#idle.push(helper);
        this.#assign();
        if (this.#idle.includes(helper)) helper.endAfter(this.#limits.idleMs, () => this.#forget(helper));
      },
      onExit: () => {
        this.#threads--;
        this.#forget(helper);
        this.#assign();
      },
    });
    return helper;
  }

  /** No task is given to the helper any more. */
  #forget(helper: Helper): void {
    const at = this.#idle.indexOf(helper);
    if (at >= 0) this.#idle.splice(at, 1);
  }

  async #abandon(task: Task): Promise<void> {
    const helper = this.#running.get(task);
    // Once the task is settled, the caller may remove its files, because nobody writes to them any
    // more.
    if (helper !== undefined) return await helper.end(new Abandoned());
    const tasks = this.#waiting.get(task.owner)!;
    tasks.splice(tasks.indexOf(task), 1);
    if (tasks.length === 0) this.#waiting.delete(task.owner);
    task.settle({ error: new Abandoned() });
  }
}

function withFacts({ error, code, path }: Extract<Reply, { error: Error }>): Error {
  if (isShortage(error)) return new TaskShortage(error.message);
  return code === undefined ? error : Object.assign(error, { code, path });
}

class Helper {
  readonly #worker: Worker;
  #settle: ((reply: Reply) => void) | null = null;
  #timer: NodeJS.Timeout | undefined;
  #ending: Error | null = null;

  constructor(program: URL, { onIdle, onExit }: { onIdle: () => void; onExit: () => void }) {
    this.#worker = new Worker(program);
    this.#worker.on("message", (reply: Reply) => {
      if (this.#ending !== null) return;
      this.#finish(reply);
      this.#worker.unref();
      onIdle();
    });
    // A thread that dies (for lack of memory) takes only its task with it.
    this.#worker.on("error", (error: Error) => this.#finish({ error }));
    this.#worker.on("exit", () => {
      this.#finish({ error: this.#ending ?? new Error("The helper thread ended.") });
      onExit();
    });
  }

  run(request: Request, settle: (reply: Reply) => void): void {
    clearTimeout(this.#timer);
    this.#settle = settle;
    this.#worker.ref();
    this.#worker.postMessage(request);
  }

  /** Ends the thread unless it gets a task before. */
  endAfter(ms: number, ended: () => void): void {
    const end = () => {
      ended();
      void this.#worker.terminate();
    };
    this.#timer = setTimeout(end, ms).unref();
  }

  /** Ends the thread; `reason` is what its task fails with. */
  async end(reason: Error): Promise<void> {
    this.#ending = reason;
    await this.#worker.terminate();
  }

  #finish(reply: Reply): void {
    this.#settle?.(reply);
    this.#settle = null;
  }
}

/**
 * Runs a task in one of the threads with this program.
 * @throws PoolBusy, Abandoned, or what the task threw
 */
type RunTask<T extends TaskTable> = <N extends keyof T & string>(
  task: N,
  input: Parameters<T[N]>[0],
  caller: Caller,
) => Promise<Awaited<ReturnType<T[N]>>>;

export function poolOf<T extends TaskTable>(program: URL): RunTask<T> {
  const pool = new Pool(program, limits);
  return async (task, input, caller) => (await pool.run({ task, input }, caller)) as never;
}

/** Runs a task of helper.ts. */
export const runInHelper = poolOf<Tasks>(new URL("./helper.ts", import.meta.url));
