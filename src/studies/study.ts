/*
 * A study searches for the parameters of a spec that make its objective best. This folder decides
 * what the next trial is, and nothing else: it is a library without Redis and HTTP.
 *
 * Every decision about trial i is a pure function of the study and of the first trials, those that
 * must have ended before trial i may start (plan.ts). It never depends on which trials happened to
 * end first. So a study gives the same trials with any number of workers. Random numbers are a
 * function of (seed, trial, parameter, number), and exponentials and logarithms are the engine's
 * own.
 *
 * Samplers work on a position between 0 and 1 for each parameter (space.ts). A sampler does not see
 * whether a parameter is a rate or a choice of layers, unless it asks.
 */
import type { Member } from "../engine/settings.ts";
import type { Parameter } from "./space.ts";

export interface Study {
  /** In the order in which they are set. */
  readonly parameters: readonly Parameter[];
  readonly spec: unknown;
  readonly direction: "minimize" | "maximize";
  /** With the defaults of its options. */
  readonly sampler: Member;
  readonly pruner: Member;
  readonly seed: number;
  /** How many trials may run at the same time. */
  readonly parallel: number;
  /** The epochs of the spec. The rungs of a pruner lie among them. */
  readonly epochs: number;
}

export const TRIAL_ENDS = ["succeeded", "pruned", "failed", "cancelled"] as const;

/** What is left of a trial that has ended. */
export interface EndedTrial {
  /** The values of the parameters that it has. Conditional ones may be absent. */
  readonly values: Readonly<Record<string, unknown>>;
  readonly status: (typeof TRIAL_ENDS)[number];
  /** The objective; null unless it succeeded. */
  readonly value: number | null;
  /** The objective at the rungs that it reached, by epoch. */
  readonly rungs: readonly Rung[];
}

/** An epoch, and the objective or a threshold there. */
export interface Rung {
  readonly epoch: number;
  readonly value: number | null;
}
