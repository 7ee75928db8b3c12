import { configure } from "../optimizers/configure.ts";
import { batchesPerStep, batchRows, type TrainingJob } from "../job.ts";

/**
 * The number of values that are read to judge the scale of the data: enough for any table, and
 * fast.
 */
const SAMPLE = 1_000_000;

/** Standardised values have a root mean square of 1. A value above this one means another scale. */
const UNSCALED = 10;

/** Facts of a run besides its numbers, on which causes and remedies depend. */
export class RunFacts {
  readonly totalSteps: number;
  readonly batchRows: number;
  /** Rows that a step's loss and gradient come from. */
  readonly stepRows: number;
  readonly trainRows: number;
  /**
   * The optimizer's learning rate, and where it stands in its options, as sentences have it:
   * `optimizer.lr`.
   */
  readonly baseRate: number;
  readonly rateOption: string;
  readonly warmupSteps: number;
  /**
   * Whether the optimizer finds the length of its steps by itself. Its steps may be short at first,
   * and zero at a minimum.
   */
  readonly findsRate: boolean;
  readonly clipped: boolean;
  readonly regularised: boolean;
  readonly earlyStopping: boolean;
  /** Layers whose derivative is small almost everywhere. */
  readonly saturating: readonly string[];
  readonly #job: TrainingJob;
  #featuresUnscaled: boolean | null = null;
  #targetsUnscaled: boolean | null = null;

  constructor(job: TrainingJob, totalSteps: number) {
    const types = job.model.layers.map((layer) => layer.type);
    this.#job = job;
    this.totalSteps = totalSteps;
    this.trainRows = job.data.trainRows.length;
    this.batchRows = batchRows(job.training, this.trainRows);
    this.stepRows = Math.min(this.batchRows * batchesPerStep(job.training), this.trainRows);
    const { rate, rateOption, wholeModel } = configure(job.optimizer);
    this.baseRate = rate;
    this.rateOption = rateOption.replaceAll("/", ".");
    this.warmupSteps = job.schedule.warmup_steps;
    this.findsRate = wholeModel;
    this.clipped = job.training.clip_grad_norm !== null;
    this.regularised = types.includes("dropout");
    this.earlyStopping = job.training.early_stopping !== null;
    this.saturating = [...new Set(types.filter((type) => type === "sigmoid" || type === "tanh"))];
  }

  /** Computed at the first use; a healthy run never uses it. */
  get featuresUnscaled(): boolean {
    this.#featuresUnscaled ??= rootMeanSquare(this.#job.data.features) > UNSCALED;
    return this.#featuresUnscaled;
  }

  get targetsUnscaled(): boolean {
    const { targets } = this.#job.data;
    this.#targetsUnscaled ??= targets instanceof Float32Array && rootMeanSquare(targets) > UNSCALED;
    return this.#targetsUnscaled;
  }
}

function rootMeanSquare(values: Float32Array): number {
  const sample = values.subarray(0, SAMPLE);
  return Math.sqrt(sample.reduce((sum, value) => sum + value * value, 0) / Math.max(1, sample.length));
}
