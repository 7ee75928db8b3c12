/** How far a run has come, how fast it is, and how long it will take. */
import type { Evaluation } from "../engine/step/evaluation.ts";
import type { LogEntry } from "../engine/crew/log-reader.ts";
import { batchRows, stepsPerEpoch, type TrainingJob } from "../engine/job.ts";
import { meters } from "../meters.ts";
import type { Finding } from "../contract/schema/diagnosis.ts";
import type { Checkpoint } from "../contract/wire/checkpoint.ts";
import type { ProgressReport } from "../store/record.ts";

/**
 * The speed is averaged over this time: short enough to follow a change, long enough to be read.
 */
const SPEED_WINDOW_SECONDS = 3;

export class RunProgress {
  readonly #stepsPerEpoch: number;
  readonly #samplesPerStep: number;
  readonly #totalSteps: number;
  /** The findings that led to rewinds. */
  readonly #rewound: readonly Finding[];
  readonly #findings: Finding[] = [];
  #report: ProgressReport;
  #stepsPerSecond: number | null = null;
  #measuredAt = performance.now();

  constructor(
    { training, data }: TrainingJob,
    from: Pick<Checkpoint, "step" | "metrics"> | null,
    rewound: readonly Finding[],
  ) {
    this.#rewound = rewound;
    const rows = data.trainRows.length;
    this.#stepsPerEpoch = stepsPerEpoch(training, rows);
    const dropped = training.drop_last ? rows % batchRows(training, rows) : 0;
    this.#samplesPerStep = (rows - dropped) / this.#stepsPerEpoch;
    this.#totalSteps = this.#stepsPerEpoch * training.epochs;
    const step = from?.step ?? 0;
    this.#report = {
      step,
      epoch: Math.floor(step / this.#stepsPerEpoch),
      train_loss: null,
      valid_loss: from?.metrics.valid_loss ?? null,
      metrics: from?.metrics ?? {},
      learning_rate: null,
      samples_per_second: null,
      eta_seconds: null,
    };
  }

  /** Notes a finding. Each detector counts once between two rewinds. */
  diagnosed(finding: Finding): void {
    if (this.#findings.every(({ detector }) => detector !== finding.detector)) this.#findings.push(finding);
  }

  logged(entry: LogEntry): void {
    this.#report.train_loss = entry.train_loss;
    this.#report.learning_rate = entry.learning_rate;
  }

  evaluated({ metrics }: Evaluation): void {
    this.#report.metrics = metrics;
    this.#report.valid_loss = metrics.valid_loss ?? null;
  }

  /** The report after `step` steps. Null: where the run began. */
  at(step: number | null): ProgressReport {
    if (step !== null) this.#measure(step);
    const speed = this.#stepsPerSecond;
    return {
      ...this.#report,
      findings: [...this.#rewound, ...this.#findings],
      samples_per_second: speed === null ? null : rounded(speed * this.#samplesPerStep),
      eta_seconds: speed ? rounded((this.#totalSteps - this.#report.step) / speed) : null,
    };
  }

  #measure(step: number): void {
    const now = performance.now();
    const seconds = (now - this.#measuredAt) / 1000;
    const steps = step - this.#report.step;
    // A Prometheus counter must not decrease.
    if (steps <= 0 || seconds === 0) return;
    meters.steps.inc(steps);
    meters.samples.inc(steps * this.#samplesPerStep);
    const speed = steps / seconds;
    const weight = 1 - Math.exp(-seconds / SPEED_WINDOW_SECONDS);
    this.#stepsPerSecond =
      this.#stepsPerSecond === null ? speed : this.#stepsPerSecond + weight * (speed - this.#stepsPerSecond);
    this.#measuredAt = now;
    this.#report.step = step;
    this.#report.epoch = Math.floor(step / this.#stepsPerEpoch);
  }
}

function rounded(value: number): number {
  return Math.round(value * 10) / 10;
}
