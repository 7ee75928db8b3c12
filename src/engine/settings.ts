/*
 * What a job may set, as a resolved spec has it. Whoever reads a setting imports it from here, and
 * this file imports nothing.
 */

/** A member (layer, loss, optimizer, schedule) as it stands in a resolved spec. */
export type Member = { readonly type: string } & Readonly<Record<string, unknown>>;

/** Everything but the data that influences a job's numbers. */
export interface JobSettings {
  readonly model: { readonly layers: readonly Member[] };
  readonly loss: Member;
  readonly optimizer: Member;
  /** Parts of the model that learn in another way, or not at all. Default: none. */
  readonly groups?: readonly ParameterGroup[];
  readonly schedule: Schedule;
  readonly training: Training;
  readonly keepBest: boolean;
  /** How samples of the first input are changed while they train. Default: not at all. */
  readonly augment?: Augment | null;
  /** How often a step is observed. Default: never. */
  readonly observe?: Observe | null;
  /** Which detectors watch the run, with their thresholds. Default: none. */
  readonly detectors?: DetectorSettings;
}

/** Random changes of samples (step/augment.ts); null: there is no such change. */
export interface Augment {
  /** Mirrors an image with this probability. */
  readonly random_horizontal_flip: { readonly p: number } | null;
  /** Shifts an image by up to so many rows and columns, with zeros where it was not. */
  readonly random_crop: { readonly padding: number } | null;
  /** Adds normal numbers of this deviation. */
  readonly gaussian_noise: { readonly sigma: number } | null;
}

/** A group as it stands in a resolved spec. */
export interface ParameterGroup {
  /** Patterns of names: `*` stands for any characters, `?` for one. */
  readonly parameters: string | readonly string[];
  /** The rate from which the schedule starts. Null: the optimizer's rate. */
  readonly lr: number | null;
  /** The factor by which the schedule's rate is multiplied at every step. */
  readonly lr_scale: number;
  /** The weight decay of the group. Null: the optimizer's. */
  readonly weight_decay: number | null;
  readonly freeze: boolean;
  /**
   * What layers with running statistics in the group do while training. `eval`: they use these as
   * in an evaluation, and leave them as they are. Default: `train`.
   */
  readonly statistics?: "train" | "eval";
}

/** A schedule in a resolved spec. */
export type Schedule = Member & {
  /** The unit in which the schedule counts. */
  readonly interval: "step" | "epoch";
  /**
   * The rate first rises to lr in a straight line over this many steps. The schedule starts after
   * them.
   */
  readonly warmup_steps: number;
};

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
  readonly pruning?: Pruning | null;
}

export interface NormClip {
  readonly max_norm: number;
  readonly norm_type: number | "inf";
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

/** A job stops at a rung if the metric is worse there than `value`; null never stops it. */
export interface Pruning {
  readonly metric: string;
  readonly rungs: readonly { readonly epoch: number; readonly value: number | null }[];
}

/** The `observe` part of a resolved spec. */
export interface Observe {
  readonly every_steps: number;
  readonly per_layer: boolean;
}

/**
 * `ignore` turns a detector off. `warn` writes an event. `stop` writes an event and ends the job.
 */
export const POLICIES = ["ignore", "warn", "stop"] as const;
/**
 * `rewind` writes an event and takes the run back to sound weights (rewind.ts). Only detectors
 * whose finding means ruined weights have it.
 */
export type Policy = (typeof POLICIES)[number] | "rewind";

/** A policy and thresholds for each detector, by name: the `detectors` part of a resolved spec. */
export type DetectorSettings = Readonly<
  Record<string, { readonly policy: Policy } & Readonly<Record<string, unknown>>>
>;

/** The `rewind` part of a resolved spec's `detectors.diverging`. */
export interface Rewind {
  readonly every_steps: number;
  readonly window: number;
  readonly lr_factor: number;
  /** How often in a job. */
  readonly max: number;
}
