import type { DetectorSettings } from "./detectors/detector.ts";
import type { ParameterGroup } from "./plan/groups.ts";
import type { Observe } from "./watch/observer.ts";
import type { Member } from "./member/options.ts";
import type { Schedule } from "./schedules/learning-rate.ts";
import type { TrainingData } from "./training.ts";

/** Everything that influences a job's numbers: from the resolved spec, and the data. */
export interface TrainingJob {
  readonly model: { readonly layers: readonly Member[] };
  readonly loss: Member;
  readonly optimizer: Member;
  /** Parts of the model that learn in another way, or not at all. Default: none. */
  readonly groups?: readonly ParameterGroup[];
  readonly schedule: Schedule;
  readonly training: Training;
  readonly keepBest: boolean;
  readonly data: TrainingData;
  /** How often a step is observed. Default: never. */
  readonly observe?: Observe | null;
  /** Which detectors watch the run, with their thresholds. Default: none. */
  readonly detectors?: DetectorSettings;
}

export interface NormClip {
  readonly max_norm: number;
  readonly norm_type: number | "inf";
}

/** The `training` part of a resolved spec. */
export interface Training {
  readonly epochs: number;
  readonly batch_size: number | "full";
  readonly seed: number;
  readonly shuffle: boolean;
  readonly drop_last: boolean;
  /** Batches a step. Default: 1 (a job may be older than this field). */
  readonly gradient_accumulation_steps?: number;
  readonly clip_grad_norm: number | NormClip | null;
  readonly clip_grad_value: number | null;
  /** Default: none. The same holds for the fields that follow. */
  readonly clip_grad_adaptive?: { readonly clipping: number; readonly eps: number } | null;
  readonly gradient_noise?: { readonly eta: number; readonly gamma: number } | null;
  readonly averaging?: Averaging | null;
  readonly eval_every_epochs: number;
  readonly log_every_steps: number;
  readonly early_stopping: EarlyStopping | null;
}

/** Which averages of the weights are evaluated and served (averaging.ts). */
export type Averaging = { readonly start_step: number; readonly every_steps: number } & (
  | { readonly type: "ema"; readonly decay: number }
  | { readonly type: "swa" }
);

export interface EarlyStopping {
  readonly metric: string;
  readonly mode: "min" | "max";
  readonly patience: number;
  readonly min_delta: number;
}

/** Rows of a batch: the last one of an epoch may have fewer. */
export function batchRows(training: Pick<Training, "batch_size">, trainRows: number): number {
  return training.batch_size === "full" ? trainRows : training.batch_size;
}

export function batchesPerEpoch(training: Pick<Training, "batch_size" | "drop_last">, trainRows: number): number {
  const batches = trainRows / batchRows(training, trainRows);
  return training.drop_last ? Math.floor(batches) : Math.ceil(batches);
}

/** Batches of a step: the last one of an epoch may have fewer. */
export function batchesPerStep({
  gradient_accumulation_steps = 1,
}: Pick<Training, "gradient_accumulation_steps">): number {
  return gradient_accumulation_steps;
}

export function stepsPerEpoch(
  training: Pick<Training, "batch_size" | "drop_last" | "gradient_accumulation_steps">,
  trainRows: number,
): number {
  return Math.ceil(batchesPerEpoch(training, trainRows) / batchesPerStep(training));
}
