import type { Description, Options, ValuesOf } from "../member/options.ts";
import type { LayerObservation } from "../watch/observer.ts";
import type { Cause } from "./causes.ts";
import type { RunFacts } from "./facts.ts";

/**
 * What a detector is: a fold over the numbers of a run. It takes one reading after another and
 * reports, as soon as it can, that something is wrong and why. It is a pure function of the
 * readings, which are a function of the run alone, and its state is part of the checkpoint: a
 * resumed run finds the same, at the same steps.
 *
 * Thresholds are options of the spec. Every detector also has a `policy`. A detector reports once
 * in a job.
 */
export interface DetectorType<O extends Options = Options, S = unknown> extends Description {
  readonly options: O;
  /**
   * What it needs: losses, which always exist, evaluations, or the observations that `observe` asks
   * for.
   */
  readonly needs: Reading["kind"];
  /**
   * True if its finding means that the weights are ruined. With the policy `stop` the job then
   * fails instead of ending early, and the policy `rewind` is allowed.
   */
  readonly ruinous?: boolean;
  /** True if it can judge only a run that begins with untrained weights. */
  readonly fromScratch?: boolean;
  /**
   * `state` is null before the first reading, and must survive JSON: no value that is not finite.
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
   * What was seen, in one sentence without its end: "The loss rose from 0.3 at step 40 to 7 at step
   * 60".
   */
  readonly seen: string;
  /** The numbers of the sentence, for programs. */
  readonly data: Readonly<Record<string, number | string>>;
}

/** Numbers of a run, all finite but for an observation's. */
export type Reading = WindowReading | EvaluationReading | ObservationReading;

interface Common {
  /** The step after which they were taken. */
  readonly step: number;
  readonly learningRate: number;
  /** The train loss that the run started from. */
  readonly start: number;
}

/**
 * The train loss over a stretch of steps (windows of a fixed length, so that it does not depend on
 * what is logged).
 */
export interface WindowReading extends Common {
  readonly kind: "losses";
  readonly steps: number;
  readonly mean: number;
  /** Standard deviation of the steps' losses. */
  readonly deviation: number;
}

export interface EvaluationReading extends Common {
  readonly kind: "evaluations";
  readonly validLoss: number;
  /** Mean since the evaluation before. */
  readonly trainLoss: number;
}

export interface ObservationReading extends Common {
  readonly kind: "observations";
  /** The step's own loss. */
  readonly loss: number;
  readonly layers: readonly LayerObservation[];
}

/** `ignore`: not looked for. `warn`: an event. `stop`: an event, and the end of the job. */
export const POLICIES = ["ignore", "warn", "stop"] as const;
/**
 * `rewind`, only if the finding means ruined weights: an event, and the run goes back to sound
 * weights (rewind.ts).
 */
export type Policy = (typeof POLICIES)[number] | "rewind";

/** A policy and thresholds for each detector, by name: the `detectors` part of a resolved spec. */
export type DetectorSettings = Readonly<
  Record<string, { readonly policy: Policy } & Readonly<Record<string, unknown>>>
>;

/** What a detector found, as events and the diagnosis tell it. */
export interface Finding extends Omit<Found, "seen"> {
  readonly detector: string;
  readonly step: number;
  /** What was seen: a sentence. */
  readonly message: string;
  /** What is likely to help: a sentence. */
  readonly remedy: string;
}

export function defineDetector<const O extends Options, S>(type: DetectorType<O, S>): DetectorType<O, S> {
  return type;
}

/** A number as sentences have it: 0.31, 12.5, 4.2e-7. */
export function short(value: number): string {
  const size = Math.abs(value);
  if (size === 0 || (size >= 1e-4 && size < 1e6)) return String(Number(value.toPrecision(3)));
  return value.toExponential(2).replace(/\.?0*e\+?/, "e");
}
