/** What the thread of a lane asks its main thread, which has the files and shares what it reads. */
import type { MessagePort } from "node:worker_threads";
import type { Encoded } from "../data/encode/encoding.ts";
import { DatasetUnreachable, type SentResult } from "../data/files/cache.ts";
import { diskFault } from "../disk-fault.ts";
import { isShortage, MemoryShortage } from "../engine/crew/shortage.ts";
import type { PartitionedTable } from "../data/encode/partitioned-table.ts";
import { JobFailure } from "./failures.ts";
import type { WantedData } from "./prepare.ts";
import type { WantedTable } from "./set-tables.ts";

export interface Questions {
  /** The data of a job. */
  data: { ask: { owner: string; wanted: WantedData }; answer: Encoded };
  /** The rows of a set by their keys, and where the file of a shard's results is to be written. */
  shard: { ask: { owner: string; wanted: WantedTable; id: string }; answer: { table: PartitionedTable; path: string } };
  /** Keeps such a file. */
  keep: { ask: SentResult; answer: null };
}

export type Question = { [Q in keyof Questions]: { what: Q; ask: Questions[Q]["ask"] } }[keyof Questions];

/** Errors lose their class on the way. */
export type Answer =
  | { readonly value: unknown }
  | { readonly failure: Pick<JobFailure, "code" | "message" | "suggestion" | "step"> }
  | { readonly unreachable: string }
  | { readonly shortage: string }
  | { readonly error: Error };

export function answerOf(error: unknown): Answer {
  if (error instanceof JobFailure) {
    const { code, message, suggestion, step } = error;
    return { failure: { code, message, suggestion, step } };
  }
  if (error instanceof DatasetUnreachable) return { unreachable: error.message };
  const fault = diskFault(error);
  if (fault !== null) return { unreachable: `The disk that results are written to ${fault}.` };
  if (isShortage(error)) return { shortage: (error as Error).message };
  return { error: error as Error };
}

/** @throws what `answerOf` was told */
function valueOf(answer: Answer): unknown {
  if ("value" in answer) return answer.value;
  if ("unreachable" in answer) throw new DatasetUnreachable(answer.unreachable);
  if ("shortage" in answer) throw new MemoryShortage(answer.shortage);
  if ("error" in answer) throw answer.error;
  const { code, message, suggestion, step } = answer.failure;
  throw new JobFailure(code, message, suggestion, step);
}

/** Asks, and waits for the answers. */
export class Asking {
  readonly #port: MessagePort;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #count = 0;

  constructor(port: MessagePort) {
    this.#port = port;
  }

  /** @throws JobFailure, DatasetUnreachable, MemoryShortage */
  async ask<Q extends keyof Questions>(what: Q, ask: Questions[Q]["ask"]): Promise<Questions[Q]["answer"]> {
    const id = this.#count++;
    this.#port.postMessage({ type: "asked", id, question: { what, ask } });
    const answer = await new Promise<Answer>((resolve) => this.#waiting.set(id, resolve));
    return valueOf(answer) as Questions[Q]["answer"];
  }

  answered(id: number, answer: Answer): void {
    this.#waiting.get(id)!(answer);
    this.#waiting.delete(id);
  }
}
