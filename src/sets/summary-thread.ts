/** The program of a thread that puts the results of one set together. */
import { parentPort, workerData } from "node:worker_threads";
import { summarize, type SetResult } from "./summary.ts";

export interface SummaryInput {
  /** The files of the shards, in their order. */
  readonly shards: readonly string[];
  readonly index: string;
}

/** `path`: the file that is damaged, if that is the reason. */
export type SummaryReply =
  | { readonly result: SetResult }
  | { readonly error: Error; readonly path: string | undefined };

const { shards, index } = workerData as SummaryInput;
const reply: SummaryReply = await summarize(shards, index).then(
  (result) => ({ result }),
  (error: Error & { path?: string }) => ({ error, path: error.path }),
);
parentPort!.postMessage(reply);
