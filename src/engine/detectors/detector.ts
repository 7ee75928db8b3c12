import type { Description, Options, ValuesOf } from "../member/options.ts";
import type { LayerObservation } from "../watch/observer.ts";
import type { Cause } from "./causes.ts";
import type { RunFacts } from "./facts.ts";

/**
 * A detector takes one reading of a run after another, and reports as soon as it can that something
 * is wrong, and why. It is a pure function of the readings, and its state is part of the
 * checkpoint. The readings depend on the run alone, so a resumed run finds the same faults at the
 * same steps.
 *
 * Thresholds are options of the spec. Every detector also has a `policy`. A detector reports once
 * in a job.
 */
export interface DetectorType<O extends Options = Options, S = unknown> extends Description {
  readonly options: O;
  /**
   * The kind of readings it needs: losses, which always exist, evaluations, or the observations
   * that `observe` turns on.
   */
  readonly needs: Reading["kind"];
  /**
   * True if its finding means that the weights are ruined. With the policy `stop` the job then
   * fails instead of ending early, and the policy `rewind` is allowed.
   */
  readonly ruinous?: boolean;
  /** True if it can only judge runs that begin with untrained weights. */
  readonly fromScratch?: boolean;
  /**
   * `state` is null before the first reading. JSON must be able to hold it, so all its numbers are
   * finite.
   */
  watch(options: ValuesOf<O>, state: S | null, reading: Reading, run: RunFacts): Watched<S>;
}

export interface Watched<S> {
  readonly state: S;
  readonly found: Found | null;
}

export interface Found {
  readonly cause: Cause;
  /**
   * What was seen, as a sentence without its full stop: "The loss rose from 0.3 at step 40 to 7 at
   * step 60".
   */
  readonly seen: string;
  /** The numbers in the sentence, for programs. */
  readonly data: Readonly<Record<string, number | string>>;
}

/** Numbers of a run. All are finite, except those of observations. */
export type Reading = WindowReading | EvaluationReading | ObservationReading;

interface Common {
  /** The step after which the numbers were taken. */
  readonly step: number;
  readonly learningRate: number;
  /** The train loss at the start of the run. */
  readonly start: number;
}

/**
 * The train loss over a number of steps. These windows have a fixed length, so that they do not
 * depend on what is logged.
 */
export interface WindowReading extends Common {
  readonly kind: "losses";
  readonly steps: number;
  readonly mean: number;
  /** Standard deviation of the losses of the steps. */
  readonly deviation: number;
}

export interface EvaluationReading extends Common {
  readonly kind: "evaluations";
  readonly validLoss: number;
  /** Mean since the last evaluation. */
  readonly trainLoss: number;
}

export interface ObservationReading extends Common {
  readonly kind: "observations";
  /** The loss of this step. */
  readonly loss: number;
  readonly layers: readonly LayerObservation[];
}

/** What a detector found, as events and the diagnosis show it. */
export interface Finding extends Omit<Found, "seen"> {
  readonly detector: string;
  readonly step: number;
  /** What was seen, as a sentence. */
  readonly message: string;
  /** What is likely to help, as a sentence. */
  readonly remedy: string;
}

export function defineDetector<const O extends Options, S>(type: DetectorType<O, S>): DetectorType<O, S> {
  return type;
}
