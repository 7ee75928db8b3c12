/*
 * The program of a prediction thread. It reads the body of a request, encodes its rows, runs the
 * model forward, and writes the answer as JSON, so that the event loop has nothing to do but pass
 * the bytes on. It does one request at a time.
 *
 * It keeps the models that it used last, up to a number of bytes. A model that it does not have is
 * answered as missing; the main thread then loads it, and asks again.
 */
import { parentPort, workerData } from "node:worker_threads";
import { collectNow } from "../engine/crew/garbage.ts";
import { isShortage } from "../engine/crew/shortage.ts";
import { Problem, type ErrorCode } from "../contract/errors.ts";
import type { Which } from "../contract/wire/prediction.ts";
import { DamagedFile } from "../data/files/disk.ts";
import { STOP_AFTER_MS, tooLarge, tooSlow } from "./limits.ts";
import { ServedModel, type OneModel } from "./model.ts";
import { readCsv, readJson, type Choice } from "./request.ts";
import { ServedSet, type SetSource } from "./set.ts";

export interface ThreadData {
  readonly maxModelBytes: number;
  /** Holds the number of the request that must stop. */
  readonly stop: Int32Array;
}

export type ThreadRequest = { readonly id: number } & (
  | {
      readonly type: "predict";
      readonly job: string;
      readonly body: Uint8Array<ArrayBuffer>;
      /** Which model predicts from the rows of a CSV; null: the body is JSON, and says it. */
      readonly csv: Choice | null;
    }
  | ({ readonly type: "load"; readonly job: string; readonly which: Which } & Loaded)
);

/** What a thread predicts with. */
export type Loaded = Own | { readonly set: SetSource; readonly pooled: Own | null };

/** Its file can be transferred. */
type Own = OneModel & { readonly file: Uint8Array<ArrayBuffer> };

/** What became of a request, and the bytes of all models that the thread has. */
export type ThreadReply = { readonly id: number; readonly modelBytes: number } & Outcome;

export type Outcome =
  | { readonly type: "answer"; readonly bytes: Uint8Array<ArrayBuffer>; readonly rows: number }
  | { readonly type: "missing"; readonly which: Which; readonly body: Uint8Array<ArrayBuffer> }
  | { readonly type: "loaded" }
  | { readonly type: "stopped" }
  | { readonly type: "damaged"; readonly message: string; readonly path: string }
  | {
      readonly type: "problem";
      readonly code: ErrorCode;
      readonly detail: string;
      readonly members: Problem["members"];
    }
  | { readonly type: "failed"; readonly message: string };

class Stopped extends Error {}

const { maxModelBytes, stop } = workerData as ThreadData;

/** By job and weights; the one that was used last comes last. */
const models = new Map<string, ServedModel | ServedSet>();

const keyOf = (job: string, which: Which): string => `${job} ${which}`;

const modelBytes = (): number => [...models.values()].reduce((sum, { bytes }) => sum + bytes, 0);

async function load(request: Extract<ThreadRequest, { type: "load" }>): Promise<Outcome> {
  const { job, which } = request;
  const model =
    "set" in request
      ? await ServedSet.open(request.set, request.pooled, maxModelBytes)
      : new ServedModel(request.source, request.file);
  if (model.bytes > maxModelBytes) throw tooLarge(model.bytes, maxModelBytes);
  models.set(keyOf(job, which), model);
  shrink();
  return { type: "loaded" };
}

/** Gives up models until the others fit. */
function shrink(): void {
  let isDropped = false;
  for (const key of models.keys()) {
    if (modelBytes() <= maxModelBytes) break;
    models.delete(key);
    isDropped = true;
  }
  // Memories that are shared are free only once they are collected, and nothing else asks for it.
  if (isDropped) setImmediate(collectNow);
}

async function predict(request: Extract<ThreadRequest, { type: "predict" }>): Promise<Outcome> {
  const began = performance.now();
  const { id, job, csv } = request;
  const body = Buffer.from(request.body.buffer, request.body.byteOffset, request.body.byteLength);
  const read = csv === null ? readJson(body) : null;
  const choice = csv ?? read!.choice;
  const { which } = choice;
  const model = models.get(keyOf(job, which));
  if (model === undefined) return { type: "missing", which, body: request.body };
  models.delete(keyOf(job, which));
  models.set(keyOf(job, which), model);
  const asked = read?.asked ?? readCsv(body, model.reading);
  const turn = () => {
    if (Atomics.load(stop, 0) === id) throw new Stopped();
    if (performance.now() - began > STOP_AFTER_MS) throw tooSlow();
  };
  turn();
  if (asked.kind !== "prompt") {
    const texts = model.predict(asked, choice, turn);
    const bytes = await answer(model.weights_sha256, texts);
    // A set grows with the models that it reads.
    shrink();
    return { type: "answer", bytes, rows: asked.count };
  }
  const { weights_sha256 } = model;
  const text = JSON.stringify({ weights_sha256, ...model.generate(asked, turn) });
  return { type: "answer", bytes: new Uint8Array(Buffer.from(text)), rows: 1 };
}

async function answer(sha256: string, predictions: AsyncIterable<string[]>): Promise<Uint8Array<ArrayBuffer>> {
  const pieces: Buffer[] = [];
  let begin = `{"weights_sha256":${JSON.stringify(sha256)},"predictions":[`;
  for await (const texts of predictions) {
    pieces.push(Buffer.from(begin + texts.join(",")));
    begin = ",";
  }
  pieces.push(Buffer.from("]}"));
  const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

/** Later there may be memory: the models that this thread keeps are given up. */
function outOfMemory(): Outcome {
  models.clear();
  setImmediate(collectNow);
  const detail = "This process has no memory left for it just now.";
  return { type: "problem", code: "unavailable", detail, members: {} };
}

async function outcomeOf(request: ThreadRequest): Promise<Outcome> {
  try {
    return request.type === "load" ? await load(request) : await predict(request);
  } catch (error) {
    if (error instanceof Stopped) return { type: "stopped" };
    if (isShortage(error)) return outOfMemory();
    if (error instanceof DamagedFile) return { type: "damaged", message: error.message, path: error.path };
    if (error instanceof Problem)
      return { type: "problem", code: error.code, detail: error.message, members: error.members };
    return { type: "failed", message: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

parentPort?.on("message", (request: ThreadRequest) => {
  void outcomeOf(request).then((outcome) => {
    const moved = "bytes" in outcome ? [outcome.bytes.buffer] : "body" in outcome ? [outcome.body.buffer] : [];
    parentPort!.postMessage({ id: request.id, modelBytes: modelBytes(), ...outcome } satisfies ThreadReply, moved);
  });
});
