import { WORD } from "../crew/control.ts";
import { LogReader, type LogEntry } from "../crew/log-reader.ts";
import type { Outbox } from "../crew/mail.ts";
import type { ThreadMessage } from "../crew/messages.ts";
import { outcomeOf, type Outcome } from "../crew/outcome.ts";
import type { Finding } from "../detectors/detector.ts";
import type { TrainingJob } from "../job.ts";
import type { Kernels } from "../kernels/kernels.ts";
import type { KernelChoice } from "../kernels/native.ts";
import type { Plan } from "../plan/model.ts";
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
  /** Whether nothing of a job is wanted but its outcome and its models. */
  readonly onlyModels: boolean;
  /** Asked between steps. True: the thread must do something else before it goes on. */
  readonly due: () => boolean;
}

/** Keeps what a job tells that is trained on this very thread. */
export class Recorder implements Outbox {
  readonly #job: TrainingJob;
  readonly #words: Int32Array;
  readonly #reader: LogReader;
  readonly #onlyModels: boolean;
  readonly #due: () => boolean;
  readonly #log: LogEntry[] = [];
  readonly #evaluations: Evaluation[] = [];
  readonly #findings: Finding[] = [];
  #file: FinalFile | ModelFiles | null = null;
  /** Null until the job has ended. */
  trained: Trained | null = null;

  /** `words`: the control words of the job's memory. */
  constructor(kernels: Kernels, plan: Plan, job: TrainingJob, words: Int32Array, { onlyModels, due }: PackWork) {
    this.#job = job;
    this.#onlyModels = onlyModels;
    this.#due = due;
    this.#words = words;
    this.#reader = new LogReader(kernels.memory, words, plan.addresses.log);
  }

  post(message: ThreadMessage): void {
    if (message.type === "log") this.read();
    else if (message.type === "evaluated" && !this.#onlyModels) this.#evaluations.push(message.evaluation);
    else if (message.type === "diagnosed" && !this.#onlyModels) this.#findings.push(message.finding);
    // There are no other snapshots.
    else if (message.type === "snapshot") this.#file = message.file as FinalFile | ModelFiles;
    else if (message.type === "ended") this.#end(message);
  }

  due(): boolean {
    return this.#due();
  }

  /** Takes over what was logged. In a pack it is called before another model logs. */
  read(): void {
    if (this.#words[WORD.logWritten] === this.#words[WORD.logRead]) return;
    if (this.#onlyModels) this.#reader.pass();
    else for (const entry of this.#reader.read()) this.#log.push(entry);
  }

  #end(message: Extract<ThreadMessage, { type: "ended" }>): void {
    this.read();
    const outcome = outcomeOf(this.#job, message, this.#reader.recent);
    this.trained = {
      outcome,
      file: outcome.type === "diverged" ? null : this.#file,
      log: this.#log,
      evaluations: this.#evaluations,
      findings: this.#findings,
    };
  }
}
