/** What the main thread and the threads of a crew send each other. */
import type { EvaluationReport } from "../metrics/report.ts";
import type { Finding } from "../detectors/detector.ts";
import type { TrainingJob } from "../job.ts";
import type { KernelChoice } from "../kernels/native.ts";
import type { Plan } from "../plan/model.ts";
import type { FinalFile, ModelFiles } from "../state/model-files.ts";
import type { HashedFile, Progress } from "../state/state.ts";
import type { Evaluation } from "../step/evaluation.ts";

/** The requests to a thread. It handles one after another. */
export type ThreadRequest = StartMessage | { readonly type: "collect" };

/** What one thread of a crew is to do. */
export interface Task {
  readonly job: TrainingJob;
  readonly thread: number;
  readonly everySteps: number | null;
  /** Whether a checkpoint is taken before the first step. */
  readonly atStart: boolean;
  readonly progress: Progress;
  /** Whether the job is at its beginning; else its state is in the memory. */
  readonly begins: boolean;
  /** The names of the weights that are drawn at the beginning; the others are in the memory. */
  readonly drawn: readonly string[];
  /** Whether the thread writes all files of states itself. */
  readonly writesFiles: boolean;
  /** Whether nothing of the end is wanted but metrics and models. Default: no. */
  readonly onlyModels?: boolean;
}

export interface StartMessage extends Task {
  readonly type: "start";
  readonly module: WebAssembly.Module;
  readonly kernels: KernelChoice;
  readonly memory: WebAssembly.Memory;
  readonly memoryId: number;
  /** Null if the thread still has it from an earlier job. */
  readonly plan: Plan | null;
  readonly planId: number;
}

/** What the final weights do on the rows that validate and on those of the test. Null: no rows. */
export interface Reports {
  readonly valid: EvaluationReport | null;
  readonly test: EvaluationReport | null;
}

/** How a run ended. */
export interface Ended {
  readonly outcome: "finished" | "stopped" | "diverged";
  readonly progress: Progress;
  readonly reports: Reports;
}

export type SnapshotKind = "start" | "periodic" | "final" | "shutdown";

export type ThreadMessage =
  | { readonly type: "log" }
  | { readonly type: "evaluated"; readonly evaluation: Evaluation; readonly seconds: number }
  | { readonly type: "observed"; readonly step: number; readonly metrics: Record<string, number> }
  | { readonly type: "diagnosed"; readonly finding: Finding }
  | {
      readonly type: "snapshot";
      readonly kinds: SnapshotKind[];
      readonly skipped: number;
      readonly progress: Progress;
      /** The state, if the thread has written it; else it is in the snapshot buffer. */
      readonly file: HashedFile | FinalFile | ModelFiles | null;
    }
  | ({ readonly type: "ended" } & Ended)
  /** The thread has left the job and can take another. It is the last message of the job. */
  | { readonly type: "idle" }
  | { readonly type: "failed"; readonly error: unknown };
