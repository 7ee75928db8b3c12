import { entryOf, RecentLog, type LogEntry } from "../crew/log-reader.ts";
import type { Outbox } from "../crew/mail.ts";
import type { ThreadMessage } from "../crew/messages.ts";
import { outcomeOf, type Outcome } from "../crew/outcome.ts";
import type { Finding } from "../detectors/detector.ts";
import type { TrainingJob } from "../job.ts";
import type { KernelChoice } from "../kernels/native.ts";
import type { FinalFile, ModelFiles } from "../state/model-files.ts";
import type { HashedFile } from "../state/state.ts";
import type { Evaluation } from "../step/evaluation.ts";

/** What a job has become. */
export interface Trained {
  readonly outcome: Outcome;
  /** The model files, and the last state if it is wanted; null if the job diverged. */
  readonly file: (ModelFiles & Partial<HashedFile>) | null;
  /** It, and what follows, is empty if nothing but models is wanted. */
  readonly log: readonly LogEntry[];
  readonly evaluations: readonly Evaluation[];
  readonly findings: readonly Finding[];
}

/** How jobs are trained on the present thread. */
export interface PackWork {
  /** No number depends on it. */
  readonly choice: KernelChoice;
  /** The model file with whose weights all begin; null: with random ones. */
  readonly start: Uint8Array | null;
  /** Whether nothing of a job is wanted but its outcome and its models. */
  readonly onlyModels: boolean;
  /** Asked between steps. True: the thread must do something else before it goes on. */
  readonly due: () => boolean;
  /** Told how many more jobs have ended. */
  readonly ended?: (jobs: number) => void;
}

/** Keeps what a job tells that is trained on this very thread. */
export class Recorder implements Outbox {
  readonly #job: TrainingJob;
  readonly #onlyModels: boolean;
  readonly #due: () => boolean;
  readonly #recent = new RecentLog();
  readonly #log: LogEntry[] = [];
  readonly #evaluations: Evaluation[] = [];
  readonly #findings: Finding[] = [];
  #file: FinalFile | ModelFiles | null = null;
  /** Null until the job has ended. */
  trained: Trained | null = null;

  constructor(job: TrainingJob, { onlyModels, due }: PackWork) {
    this.#job = job;
    this.#onlyModels = onlyModels;
    this.#due = due;
  }

  post(message: ThreadMessage): void {
    // There are no other snapshots.
    if (message.type === "snapshot") this.#file = message.file as FinalFile | ModelFiles;
    else if (message.type === "ended") this.#end(message);
    else if (this.#onlyModels) return;
    else if (message.type === "evaluated") this.#evaluations.push(message.evaluation);
    else if (message.type === "diagnosed") this.#findings.push(message.finding);
  }

  log(step: number, loss: number, rate: number, norm: number): void {
    this.#recent.add(step, loss, rate, norm);
    if (!this.#onlyModels) this.#log.push(entryOf(step, loss, rate, norm));
  }

  due(): boolean {
    return this.#due();
  }

  #end(message: Extract<ThreadMessage, { type: "ended" }>): void {
    const outcome = outcomeOf(this.#job, message, this.#recent);
    this.trained = {
      outcome,
      file: outcome.type === "diverged" ? null : this.#file,
      log: this.#log,
      evaluations: this.#evaluations,
      findings: this.#findings,
    };
  }
}
