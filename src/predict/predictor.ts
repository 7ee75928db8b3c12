/*
 * Predictions of an API process: a few threads of their own, apart from those that train. A request
 * waits in a queue of its owner, of limited length, until a thread is free. Owners take turns, so
 * that the requests of one delay the next of another by one. Its work is limited in time; a client
 * that leaves ends it. A thread that does not stop in time is ended, and the next request gets a
 * new one.
 */
import { Worker } from "node:worker_threads";
import { DamagedFile } from "../data/files/disk.ts";
import { Abandoned } from "../data/pool.ts";
import { Problem, retryLater } from "../contract/errors.ts";
import type { Which } from "../contract/wire/prediction.ts";
import { meters } from "../meters.ts";
import type { OneModel } from "./model.ts";
import { STOP_AFTER_MS, tooSlow } from "./limits.ts";
import type { Choice } from "./request.ts";
import type { SetSource } from "./set.ts";
import type { Loaded, Outcome, ThreadData, ThreadReply, ThreadRequest } from "./thread.ts";

export interface PredictorOptions {
  readonly threads: number;
  /** For the models that a thread keeps. */
  readonly maxModelBytes: number;
}

export interface PredictionTask {
  readonly owner: string;
  readonly job: string;
  readonly body: Uint8Array;
  /** Which model predicts from the rows of a CSV; null: the body is JSON, and says it. */
  readonly csv: Choice | null;
  /** Called if no thread has the model. */
  readonly load: (which: Which) => Promise<OneModel | { set: SetSource; pooled: OneModel | null }>;
  /** Aborts once nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

/** Requests of one owner that wait for a thread. */
export const MAX_WAITING = 32;
/** The bodies of all requests, from the first byte to the answer, and of those of one owner. */
const MAX_BODIES_BYTES = 128 * 2 ** 20;
const MAX_OWN_BODIES_BYTES = 96 * 2 ** 20;
/** A thread that works longer on a request, though it should have stopped, is ended. */
const MAX_WORK_MS = STOP_AFTER_MS + 3000;
/** To start, or to read the keys of a set, which takes long where every core trains. */
const MAX_START_MS = 30_000;
const RETRY_SECONDS = 1;

interface Waiting {
  readonly take: (thread: PredictionThread) => void;
  readonly reject: (error: Error) => void;
}

export class Predictor {
  readonly #options: PredictorOptions;
  readonly #threads = new Set<PredictionThread>();
  readonly #idle: PredictionThread[] = [];
  /** By owner: whose turn is next comes first. Nobody is here who has none. */
  readonly #waiting = new Map<string, Waiting[]>();
  /** By owner. */
  readonly #bodyBytes = new Map<string, number>();
  #closed = false;

  constructor(options: PredictorOptions) {
    this.#options = options;
  }

  /**
   * Keeps room for the body of a request that is about to arrive, until the returned function is
   * called.
   * @throws Problem if another request has no room, or no place in the queue
   */
  reserve(owner: string, bytes: number): () => void {
    this.#assertPlace(owner);
    const own = this.#bodyBytes.get(owner) ?? 0;
    const all = [...this.#bodyBytes.values()].reduce((sum, each) => sum + each, 0);
    if (own + bytes > MAX_OWN_BODIES_BYTES || all + bytes > MAX_BODIES_BYTES) {
      const [whose, taken] = own + bytes > MAX_OWN_BODIES_BYTES ? ["your requests", own] : ["requests", all];
      const detail = `The bodies of ${whose} for predictions take ${taken} bytes already: send this one again later.`;
      throw retryLater("unavailable", detail, RETRY_SECONDS);
    }
    this.#addBytes(owner, bytes);
    return () => this.#addBytes(owner, -bytes);
  }

  #addBytes(owner: string, bytes: number): void {
    const sum = (this.#bodyBytes.get(owner) ?? 0) + bytes;
    if (sum > 0) this.#bodyBytes.set(owner, sum);
    else this.#bodyBytes.delete(owner);
  }

  #assertPlace(owner: string): void {
    if ((this.#waiting.get(owner)?.length ?? 0) < MAX_WAITING) return;
    const detail = `${MAX_WAITING} of your requests for predictions wait already, the most: send this one again later.`;
    throw retryLater("unavailable", detail, RETRY_SECONDS);
  }

  /** The answer as JSON. @throws Problem */
  async predict(task: PredictionTask): Promise<Buffer> {
    const began = performance.now();
    const thread = await this.#thread(task);
    try {
      const { bytes, rows } = await answerOf(thread, task);
      meters.predictedRows.inc(rows);
      return Buffer.from(bytes.buffer);
    } finally {
      this.#giveBack(thread);
      meters.predictions.observe((performance.now() - began) / 1000);
      meters.predictionModels.set([...this.#threads].reduce((sum, { modelBytes }) => sum + modelBytes, 0));
    }
  }

  /** Requests that wait or run are refused. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const { reject } of [...this.#waiting.values()].flat()) reject(closing());
    this.#waiting.clear();
    await Promise.all([...this.#threads].map((thread) => thread.end(closing())));
  }

  /** A thread that is free, at once or when it is this request's turn. */
  async #thread({ owner, signal }: PredictionTask): Promise<PredictionThread> {
    if (this.#closed) throw closing();
    const idle = this.#idle.pop();
    if (idle !== undefined) return idle;
    if (this.#threads.size < this.#options.threads) return this.#start();
    this.#assertPlace(owner);
    const { promise, resolve, reject } = Promise.withResolvers<PredictionThread>();
    const waiting = { take: resolve, reject };
    const leave = () => {
      this.#leave(owner, waiting);
      reject(new Abandoned());
    };
    signal.addEventListener("abort", leave, { once: true });
    this.#waiting.set(owner, [...(this.#waiting.get(owner) ?? []), waiting]);
    this.#measure();
    return await promise.finally(() => signal.removeEventListener("abort", leave));
  }

  #leave(owner: string, waiting: Waiting): void {
    const others = (this.#waiting.get(owner) ?? []).filter((other) => other !== waiting);
    if (others.length > 0) this.#waiting.set(owner, others);
    else this.#waiting.delete(owner);
    this.#measure();
  }

  /** Takes the oldest request of the owner whose turn it is. */
  #next(): Waiting | undefined {
    for (const [owner, [oldest, ...others]] of this.#waiting) {
      // Behind the others from now on.
      this.#waiting.delete(owner);
      if (others.length > 0) this.#waiting.set(owner, others);
      this.#measure();
      return oldest;
    }
    return undefined;
  }

  #measure(): void {
    meters.predictionsWaiting.set([...this.#waiting.values()].reduce((sum, { length }) => sum + length, 0));
  }

  #start(): PredictionThread {
    const thread: PredictionThread = new PredictionThread(this.#options.maxModelBytes, () => {
      this.#threads.delete(thread);
      const at = this.#idle.indexOf(thread);
      if (at >= 0) this.#idle.splice(at, 1);
    });
    this.#threads.add(thread);
    return thread;
  }

  #giveBack(thread: PredictionThread): void {
    const next = this.#closed ? undefined : this.#next();
    const free = this.#threads.has(thread) ? thread : null;
    if (next !== undefined) next.take(free ?? this.#start());
    else if (free !== null) this.#idle.push(free);
  }
}

const closing = (): Problem => retryLater("unavailable", "This process is shutting down.", RETRY_SECONDS);

async function answerOf(thread: PredictionThread, task: PredictionTask) {
  const { job, csv, signal } = task;
  let body = owned(task.body);
  for (;;) {
    const outcome = await thread.ask({ type: "predict", job, csv, body }, [body.buffer], signal);
    if (outcome.type === "answer") return outcome;
    if (outcome.type !== "missing") throw failureOf(outcome);
    const { which } = outcome;
    const found = await task.load(which);
    const ofOne = ({ source, file }: OneModel) => ({ source, file: owned(file) });
    const model: Loaded =
      "set" in found ? { set: found.set, pooled: found.pooled && ofOne(found.pooled) } : ofOne(found);
    const file = "set" in model ? model.pooled?.file : model.file;
    const moved = file === undefined ? [] : [file.buffer];
    const loaded = await thread.ask({ type: "load", job, which, ...model }, moved, signal);
    if (loaded.type !== "loaded") throw failureOf(loaded);
    body = outcome.body;
  }
}

/** The bytes on a buffer of their own, because only whole buffers can be transferred. */
function owned(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer, byteLength } = bytes;
  const isWhole = buffer instanceof ArrayBuffer && buffer.byteLength === byteLength;
  // Not `slice`, since that of a Buffer copies nothing.
  return isWhole ? (bytes as Uint8Array<ArrayBuffer>) : new Uint8Array(bytes);
}

function failureOf(outcome: Outcome): Error {
  if (outcome.type === "problem") return new Problem(outcome.code, outcome.detail, outcome.members);
  if (outcome.type === "damaged") return new DamagedFile(outcome.message, outcome.path);
  return outcome.type === "failed" ? new Error(outcome.message) : new Abandoned();
}

type Message = ThreadRequest extends infer R ? (R extends ThreadRequest ? Omit<R, "id"> : never) : never;

/** One thread, as the main thread sees it. It has one request at a time. */
class PredictionThread {
  /** Of the models that it has. */
  modelBytes = 0;
  readonly #worker: Worker;
  readonly #onEnd: () => void;
  readonly #stop = new Int32Array(new SharedArrayBuffer(4));
  #asked: { readonly id: number; settle(outcome: Outcome | Error): void } | null = null;
  #next = 1;
  #ended: Error | null = null;

  constructor(maxModelBytes: number, onEnd: () => void) {
    const workerData: ThreadData = { maxModelBytes, stop: this.#stop };
    this.#worker = new Worker(new URL("./thread.ts", import.meta.url), { workerData });
    this.#onEnd = onEnd;
    this.#worker.on("message", ({ modelBytes, ...reply }: ThreadReply) => {
      this.modelBytes = modelBytes;
      if (this.#asked?.id === reply.id) this.#asked.settle(reply);
    });
    this.#worker.on("error", (error: Error) => void this.end(error));
    this.#worker.on("exit", () => void this.end(new Error("The prediction thread ended.")));
  }

  /** @throws Abandoned if `signal` has aborted, or the error that ended the thread */
  async ask(message: Message, moved: ArrayBuffer[], signal: AbortSignal): Promise<Outcome> {
    if (this.#ended !== null) throw this.#ended;
    if (signal.aborted) throw new Abandoned();
    const id = this.#next++;
    const { promise, resolve, reject } = Promise.withResolvers<Outcome>();
    const stop = () => void Atomics.store(this.#stop, 0, id);
    const starts = id === 1 || message.type === "load";
    const late = setTimeout(() => void this.end(tooSlow()), MAX_WORK_MS + (starts ? MAX_START_MS : 0));
    signal.addEventListener("abort", stop, { once: true });
    const settle = (outcome: Outcome | Error) => {
      this.#asked = null;
      if (outcome instanceof Error) reject(outcome);
      else resolve(outcome);
    };
    this.#asked = { id, settle };
    this.#worker.ref();
    try {
      this.#worker.postMessage({ id, ...message } satisfies ThreadRequest, moved);
      return await promise;
    } finally {
      clearTimeout(late);
      signal.removeEventListener("abort", stop);
      this.#worker.unref();
    }
  }

  /** Ends the thread; `reason` is what its request fails with. */
  async end(reason: Error): Promise<void> {
    this.#ended ??= reason;
    this.#onEnd();
    this.#asked?.settle(reason);
    await this.#worker.terminate();
  }
}
