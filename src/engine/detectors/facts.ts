import { configure } from "../optimizers/configure.ts";
import { layers } from "../layers/registry.generated.ts";
import { leavesOf } from "../plan/containers.ts";
import { batchesPerStep, batchRows, type TrainingJob } from "../job.ts";

/**
 * Number of values that are read to judge the scale of the data: enough for any table, and fast.
 */
const SAMPLE = 1_000_000;

/** The root mean square above which data count as unscaled. That of standardised values is 1. */
const UNSCALED = 10;

/** The facts of a run that causes and remedies depend on, besides its readings. */
export class RunFacts {
  readonly totalSteps: number;
  readonly batchRows: number;
  /** Number of rows that the loss and the gradient of a step come from. */
  readonly stepRows: number;
  readonly trainRows: number;
  /**
   * The learning rate of the optimizer, and the path of its option as it is written in sentences:
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
    const types = leavesOf(job.model.layers).map(({ type }) => layers[type]);
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
    this.regularised = types.some(({ random }) => random !== undefined);
    this.earlyStopping = job.training.early_stopping !== null;
    this.saturating = [...new Set(types.filter(({ saturates }) => saturates).map(({ type }) => type))];
  }

  /** Computed at the first use; a healthy run never uses it. */
  get featuresUnscaled(): boolean {
    this.#featuresUnscaled ??= this.#job.data.inputs.some(
      ({ values }) => values instanceof Float32Array && rootMeanSquare(values) > UNSCALED,
    );
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
