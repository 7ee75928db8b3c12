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
import { STOP_AFTER_MS, tooSlow } from "./limits.ts";
import { ServedModel, type ModelSource } from "./model.ts";
import { readCsv, readJson, type Asked } from "./request.ts";

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
      /** Which weights predict from the rows of a CSV; null: the body is JSON, and says it. */
      readonly csv: Which | null;
    }
  | {
      readonly type: "load";
      readonly job: string;
      readonly which: Which;
      readonly source: ModelSource;
      readonly file: Uint8Array<ArrayBuffer>;
    }
);

/** What became of a request, and the bytes of all models that the thread has. */
export type ThreadReply = { readonly id: number; readonly modelBytes: number } & Outcome;

export type Outcome =
  | { readonly type: "answer"; readonly bytes: Uint8Array<ArrayBuffer>; readonly rows: number }
  | { readonly type: "missing"; readonly which: Which; readonly body: Uint8Array<ArrayBuffer> }
  | { readonly type: "loaded" }
  | { readonly type: "stopped" }
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
const models = new Map<string, ServedModel>();

const keyOf = (job: string, which: Which): string => `${job} ${which}`;

const modelBytes = (): number => [...models.values()].reduce((sum, { bytes }) => sum + bytes, 0);

function load({ job, which, source, file }: Extract<ThreadRequest, { type: "load" }>): Outcome {
  const model = new ServedModel(source, file);
  if (model.bytes > maxModelBytes) {
    const detail = `The model takes ${model.bytes} bytes to predict, and the models of a prediction thread may take ${maxModelBytes} together (RAPPEL_PREDICT_MAX_BYTES).`;
    return { type: "problem", code: "too_large", detail, members: {} };
  }
  models.set(keyOf(job, which), model);
  let isDropped = false;
  for (const key of models.keys()) {
    if (modelBytes() <= maxModelBytes) break;
    models.delete(key);
    isDropped = true;
  }
  // Memories that are shared are free only once they are collected, and nothing else asks for it.
  if (isDropped) setImmediate(collectNow);
  return { type: "loaded" };
}

async function predict(request: Extract<ThreadRequest, { type: "predict" }>): Promise<Outcome> {
  const began = performance.now();
  const { id, job, csv } = request;
  const body = Buffer.from(request.body.buffer, request.body.byteOffset, request.body.byteLength);
  const read = csv === null ? readJson(body) : null;
  const which = csv ?? read!.which;
  const model = models.get(keyOf(job, which));
  if (model === undefined) return { type: "missing", which, body: request.body };
  models.delete(keyOf(job, which));
  models.set(keyOf(job, which), model);
  const asked = read?.asked ?? readCsv(body, model.source.reading);
  const turn = () => {
    if (Atomics.load(stop, 0) === id) throw new Stopped();
    if (performance.now() - began > STOP_AFTER_MS) throw tooSlow();
  };
  turn();
  if (asked.kind !== "prompt") return { type: "answer", bytes: await answer(model, asked, turn), rows: asked.count };
  const { weights_sha256 } = model.source;
  const text = JSON.stringify({ weights_sha256, ...model.generate(asked, turn) });
  return { type: "answer", bytes: new Uint8Array(Buffer.from(text)), rows: 1 };
}

async function answer(model: ServedModel, asked: Asked, turn: () => void): Promise<Uint8Array<ArrayBuffer>> {
  const pieces: Buffer[] = [];
  let begin = `{"weights_sha256":${JSON.stringify(model.source.weights_sha256)},"predictions":[`;
  for await (const texts of model.predict(asked, turn)) {
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
    return request.type === "load" ? load(request) : await predict(request);
  } catch (error) {
    if (error instanceof Stopped) return { type: "stopped" };
    if (isShortage(error)) return outOfMemory();
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
