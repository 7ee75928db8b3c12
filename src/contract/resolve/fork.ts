/*
 * A fork: a new job that begins with what another one learned.
 *
 * With the optimizer's state it goes on where the checkpoint was taken: at that step of its
 * schedule, with the moments, the order of the rows and all counters; unchanged, it ends with the
 * bytes of its parent. Without it, it is a training of its own that begins at step 0 with the
 * checkpoint's weights instead of random ones. Of the best evaluation only weights are kept, so
 * from there it is always the latter.
 */
import { z } from "zod";
import { averagesBy } from "../../engine/step/averaging.ts";
import { freshDiagnosis, type DiagnosisState } from "../../engine/watch/diagnosis.ts";
import { learningGroupOf, learningGroups } from "../../engine/plan/groups.ts";
import { exactJson } from "../../engine/state/numbers.ts";
import { configure } from "../../engine/optimizers/configure.ts";
import {
  isBestWeight,
  isOptimizerState,
  isWeight,
  parameterOf,
  stateHead,
  type GroupProgress,
  type Progress,
} from "../../engine/state/state.ts";
import { canonicalJson } from "./canonical.ts";
import { Faulty, faulty } from "../errors.ts";
import { check, type Fault } from "./faults.ts";
import { withoutNeutral } from "./identity.ts";
import { mergePatch } from "./merge-patch.ts";
import { resolveSpec, withoutDerived, type ResolveContext, type Resolved } from "./resolve.ts";
import type { Spec } from "../schema/spec.ts";
import type { Job } from "../wire/job.ts";

export const Fork = z
  .strictObject({
    step: z
      .union([z.int().min(0), z.enum(["final", "best"])], { error: 'must be a step, "final" or "best"' })
      .describe(
        "A step with a checkpoint; or the last one of a job that has succeeded; or the best evaluation so far.",
      ),
    overrides: z
      .record(z.string(), z.unknown())
      .default({})
      .describe(
        "What is different: a merge patch (RFC 7396) of the job's spec, in which null stands for the default. A member of another `type` keeps none of the options it had.",
      )
      .meta({ examples: [{ optimizer: { lr: 0.0001 } }] }),
    optimizer: z
      .boolean()
      .optional()
      .describe(
        "Whether to go on with the optimizer's state, at the same step; else the fork begins at step 0 with the weights alone. By default true, and false from `best`, of which only weights are kept.",
      ),
  })
  .meta({ id: "Fork", description: "What a fork begins with, and what is different." });
export type Fork = z.output<typeof Fork>;

/** What a fork must know of its parent. */
export type Parent = Pick<Job, "progress" | "parent"> & { readonly spec: Spec };

/** A checkpoint that a fork may begin with: at least the beginning of its file. */
export interface ForkSource {
  readonly head: Uint8Array;
}

export interface ResolvedFork<Source extends ForkSource> {
  readonly resolved: Resolved;
  readonly source: Source;
  readonly use: "state" | "final" | "best";
  /** The parent's step whose weights it begins with. */
  readonly step: number;
  /** What changes in the progress of the state, in a form that JSON keeps (numbers.ts). */
  readonly changes: object;
  /**
   * Up to which step back its course can be taken anew, by the spec alone: to the beginning if it
   * is the course of a job that is no fork itself.
   */
  readonly first: number;
}

/**
 * @param find the checkpoint that `step` means; may answer with what is wrong with it
 * @throws Problem `invalid_spec` with every fault; pointers lead into `body`
 */
export async function resolveFork<Source extends ForkSource>(
  body: unknown,
  { spec: parent, progress, parent: grandparent }: Parent,
  find: (step: Fork["step"]) => Promise<Source | { fault: string }>,
  context: ResolveContext,
): Promise<ResolvedFork<Source>> {
  const { value: fork, faults: misshapen } = check(Fork, body);
  if (fork === null) throw faulty("invalid_spec", misshapen);
  const use = fork.step === "best" ? "best" : fork.optimizer === false ? "final" : "state";
  const faults: Fault[] = [];
  const found = await find(fork.step);
  const head = "head" in found ? stateHead(found.head) : null;
  if ("fault" in found) faults.push({ pointer: "/step", message: found.fault });
  if (use === "best") faults.push(...bestFaults(fork, head));
  // Another number of steps gives other defaults.
  const target = withoutDerived(parent, progress.total_steps);
  const resolved = await resolveOverrides(fork, target, faults, context);
  try {
    if (resolved === null || head === null || "fault" in found) throw faulty("invalid_spec", faults);
    const unchanged = hasSameCourse(parent, resolved.spec);
    const changes = changesOf(head, parent, resolved.spec, unchanged);
    faults.push(...weightFaults(fork, head, resolved));
    if (use === "state")
      faults.push(
        ...optimizerFaults(head, parent, resolved),
        ...stepFaults(head, changes, resolved),
        ...averagingFaults(head, parent, resolved),
      );
    if (faults.length > 0) throw faulty("invalid_spec", faults);
    const step = use === "best" ? head.progress.best!.step : head.progress.step;
    const first = unchanged && grandparent === null ? 0 : step;
    return { resolved, source: found, use, step, changes: JSON.parse(exactJson(changes)) as object, first };
  } catch (error) {
    await resolved?.table?.discard();
    throw error;
  }
}

type Head = ReturnType<typeof stateHead>;

/** Null if something is wrong; then `faults` say what. */
async function resolveOverrides(fork: Fork, target: Spec, faults: Fault[], context: ResolveContext) {
  try {
    return await resolveSpec(mergePatch(target, fork.overrides), context);
  } catch (error) {
    if (!(error instanceof Faulty)) throw error;
    for (const { pointer, message } of error.faults) faults.push({ pointer: `/overrides${pointer}`, message });
    return null;
  }
}

function bestFaults(fork: Fork, head: Head | null): Fault[] {
  const faults: Fault[] = [];
  if (fork.optimizer === true) {
    faults.push({ pointer: "/optimizer", message: 'must be false with "best", of which only weights are kept' });
  }
  if (head && (head.progress.best === null || ![...head.shapes.keys()].some(isBestWeight))) {
    faults.push({ pointer: "/step", message: "finds no best weights; keeping them takes checkpoint.keep_best" });
  }
  return faults;
}

/** A fault for each tensor of weights that is not the same on both sides. */
function weightFaults({ overrides }: Fork, head: Head, { shapes }: Resolved): Fault[] {
  const pointer = "model" in overrides ? "/overrides/model" : "/overrides";
  return differing(head.shapes, shapes, isWeight).map((name) => {
    const [there, here] = [head.shapes.get(name), shapes.get(name)].map((shape) => shape?.join(" × "));
    if (here === undefined) return { pointer, message: `leaves out ${name}, which is ${there} in the checkpoint` };
    if (there === undefined) return { pointer, message: `needs ${name}, which the checkpoint lacks` };
    return { pointer, message: `makes ${name} ${here}, and in the checkpoint it is ${there}` };
  });
}

function optimizerFaults(head: Head, parent: Spec, { shapes, spec }: Resolved): Fault[] {
  // What the fork freezes leaves its state behind, and what was frozen begins with a fresh one.
  const learns = (parameter: string, groups: Spec["parameter_groups"]) => learningGroupOf(parameter, groups) !== null;
  const isState = (name: string) =>
    isOptimizerState(name) && [parent, spec].every(({ parameter_groups: groups }) => learns(parameterOf(name), groups));
  const names = differing(head.shapes, shapes, isState);
  // Where weights differ, their moments differ too. That is no further fault.
  if (names.length === 0 || differing(head.shapes, shapes, isWeight).length > 0) return [];
  const message = `must be false: ${spec.optimizer.type} keeps another state than the checkpoint has (${names[0]})`;
  return [{ pointer: "/optimizer", message }];
}

function differing(a: Head["shapes"], b: Head["shapes"], among: (name: string) => boolean): string[] {
  const names = new Set([...a.keys(), ...b.keys()].filter(among));
  return [...names].filter((name) => String(a.get(name)) !== String(b.get(name)));
}

/**
 * How many averages there are follows from the step alone, so that other ones than the checkpoint
 * has can only begin after it.
 */
function averagingFaults({ progress: { step } }: Head, parent: Spec, { spec }: Resolved): Fault[] {
  const [before, { averaging }] = [parent.training.averaging ?? null, spec.training];
  if (averaging === null || averagesBy(averaging, step) === 0) return [];
  if (canonicalJson(before) === canonicalJson(averaging)) return [];
  const message = `must be at least ${step}, the checkpoint's step: averages that it does not have begin anew`;
  return [{ pointer: "/overrides/training/averaging/start_step", message }];
}

/** A state that is not finished must have a step to take. */
function stepFaults({ progress: { step } }: Head, { finished }: Partial<Progress>, { totalSteps }: Resolved): Fault[] {
  if (step < totalSteps || finished !== null) return [];
  const message = `must leave steps to take: the checkpoint is at step ${step}, and these make ${totalSteps}`;
  return [{ pointer: "/overrides/training/epochs", message }];
}

/** The parts of two specs are the same. */
function sameIn(parent: Spec, spec: Spec, ...parts: ((spec: Spec) => unknown)[]): boolean {
  const [before, now] = [withoutNeutral(parent), withoutNeutral(spec)];
  return parts.every((part) => canonicalJson(part(before) ?? null) === canonicalJson(part(now) ?? null));
}

const task = [
  (of: Spec) => of.data,
  (of: Spec) => of.loss,
  (of: Spec) => of.training.early_stopping?.metric,
  (of: Spec) => of.training.early_stopping?.mode,
];
const rate = [(of: Spec) => of.schedule, (of: Spec) => of.optimizer];
const rest = [
  (of: Spec) => of.model,
  (of: Spec) => of.training,
  (of: Spec) => of.detectors,
  (of: Spec) => of.parameter_groups ?? [],
];

/** Whether one takes the steps of the other, from the first to the last. */
function hasSameCourse(parent: Spec, spec: Spec): boolean {
  return sameIn(parent, spec, ...task, ...rate, ...rest);
}

/**
 * A state remembers whether it is finished, its best evaluation, and what its schedule and the
 * detectors saw. What was overridden may make that untrue.
 */
function changesOf({ progress, shapes }: Head, parent: Spec, spec: Spec, unchanged: boolean): Partial<Progress> {
  const sameTask = sameIn(parent, spec, ...task);
  const sameRate = sameIn(parent, spec, ...rate);
  const best = sameTask && (!spec.checkpoint.keep_best || [...shapes.keys()].some(isBestWeight));
  return {
    finished: unchanged ? progress.finished : null,
    ...(unchanged ? {} : { worse: 0, metrics: untested(progress), diagnosis: diagnosisAfter(progress, sameTask) }),
    ...(best ? {} : { best: null, worse: 0 }),
    ...(sameRate ? {} : { schedule: null, changes: [] }),
    ...(unchanged ? {} : { groups: groupsAfter(progress, [...shapes.keys()].filter(isWeight), parent, spec) }),
  };
}

/** The parent's test metrics say nothing of the weights that the fork will have. */
function untested({ metrics }: Progress): Progress["metrics"] {
  return Object.fromEntries(Object.entries(metrics).filter(([name]) => !name.startsWith("test_")));
}

/**
 * Detectors look anew; at the same task from the loss that its training began with, long before the
 * fork.
 */
function diagnosisAfter({ diagnosis: { firstLoss, start, learned } }: Progress, sameTask: boolean): DiagnosisState {
  return { ...freshDiagnosis(), ...(sameTask ? { firstLoss, start, learned } : { learned: true }) };
}

/**
 * A group goes on from what the group of its first parameter had; a schedule that follows a metric
 * only from the same base.
 */
function groupsAfter(progress: Progress, names: readonly string[], parent: Spec, spec: Spec): GroupProgress[] {
  const before = learningGroups(parent.optimizer, parent.parameter_groups);
  const now = learningGroups(spec.optimizer, spec.parameter_groups);
  const sameSchedule = canonicalJson(parent.schedule) === canonicalJson(spec.schedule);
  const own = { schedule: progress.schedule?.state ?? null, scalars: progress.scalars };
  return now.slice(1).map(({ optimizer }, i) => {
    const first = names.find((name) => learningGroupOf(name, spec.parameter_groups) === i + 1);
    const from = (first && learningGroupOf(first, parent.parameter_groups)) || 0;
    const { schedule, scalars } = from === 0 ? own : progress.groups[from - 1];
    const sameBase = configure(optimizer).rate === configure(before[from].optimizer).rate;
    return { schedule: sameSchedule && sameBase ? schedule : null, scalars };
  });
}
