/* The program of a thread that predicts from a whole dataset, and ends. */
import { parentPort, workerData } from "node:worker_threads";
import { Problem } from "../contract/errors.ts";
import type { PredictionResult } from "../contract/wire/batch-prediction.ts";
import { predictBatch, type Batch } from "./batch.ts";

export interface BatchThreadData extends Batch {
  /** The number of rows that are done. */
  readonly done: Int32Array;
}

export type BatchReply =
  | { readonly type: "done"; readonly result: PredictionResult }
  | { readonly type: "refused"; readonly message: string }
  /** `code`: of an error of the system, or of ours. `path`: of the file that it is about. */
  | {
      readonly type: "failed";
      readonly error: Error;
      readonly code: string | undefined;
      readonly path: string | undefined;
    };

async function reply(): Promise<BatchReply> {
  const { done, ...batch } = workerData as BatchThreadData;
  try {
    return { type: "done", result: await predictBatch(batch, (rows) => Atomics.store(done, 0, rows)) };
  } catch (error) {
    if (error instanceof Problem) return { type: "refused", message: error.message };
    const { code, path } = error as NodeJS.ErrnoException;
    return { type: "failed", error: error as Error, code, path };
  }
}

parentPort!.postMessage(await reply());
