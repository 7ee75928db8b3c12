/** What a run needs of its process. */
import type { Hands } from "../engine/crew/hands.ts";
import type { Logger } from "../log.ts";
import type { Lease } from "../store/lease.ts";
import type { WorkValues } from "../store/work.ts";
import type { Finish } from "./endings.ts";
import type { ReadData, Sources } from "./prepare.ts";
import type { Running } from "./running.ts";
import type { Threads } from "./threads.ts";
import type { RunTrace } from "./trace.ts";

export interface RunOptions {
  store: Sources["store"];
  /** Null if no dataset comes from an API. */
  cache: Pick<NonNullable<Sources["cache"]>, "received"> | null;
  leaseMs: number;
  threads: Pick<Threads, "take" | "giveBack">;
  log: Logger;
  trace(lease: Lease): RunTrace;
  /** Whether the process runs no other job now. */
  alone(): boolean;
  /** Called after each checkpoint that is committed. */
  committed(run: Running): void;
}

export interface TrainingOptions extends RunOptions {
  /** What came with the job. Default: the run reads it. */
  work?: WorkValues | null;
  readData: ReadData;
  /** Who trains. Default: threads of the pool. */
  hands?: Hands;
  /** Writes the end of the job. Default: nothing more than that. */
  finish?: (lease: Lease, ...ended: Parameters<Finish>) => ReturnType<Finish>;
}
