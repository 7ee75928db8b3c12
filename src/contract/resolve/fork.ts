/*
 * A fork: a new job that begins with what another job learned.
 *
 * With the optimizer's state a fork goes on at the step of the checkpoint: with the same place in
 * the schedule, the same moments, order of the rows and counters. If nothing is changed, it ends
 * with the bytes of its parent. Without that state a fork is a new training, which begins at step 0
 * with the weights of the checkpoint instead of random ones. A fork of the best evaluation is
 * always of the second kind, because only its weights are kept.
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
import { scheduleType } from "../../engine/schedules/learning-rate.ts";
import { canonicalJson } from "./canonical.ts";
import { Faulty, faulty } from "../errors.ts";
import { check, type Fault } from "./faults.ts";
import { withoutNeutral } from "./identity.ts";
import { mergePatch } from "./merge-patch.ts";
import { presentSpec } from "./present.ts";
import { resolveSpec, withoutDerived, type ResolveContext, type Resolved } from "./resolve.ts";
import type { Spec } from "../schema/spec.ts";
import type { Job } from "../wire/job.ts";

export const Fork = z
  .strictObject({
    step: z
      .union([z.int().min(0), z.enum(["final", "best"])], { error: 'must be a step, "final" or "best"' })
      .describe(
        "The checkpoint to begin with: its step, or `final` for the last one of a job that has succeeded, or `best` for the best evaluation so far.",
      ),
    overrides: z
      .record(z.string(), z.unknown())
      .default({})
      .describe(
        "The changes, as a merge patch (RFC 7396) of the job's spec. A null sets a value to its default. A member whose `type` is changed keeps none of its options.",
      )
      .meta({ examples: [{ optimizer: { lr: 0.0001 } }] }),
    optimizer: z
      .boolean()
      .optional()
      .describe(
        "Whether to go on at the same step with the optimizer's state. If false, the fork begins at step 0 with the weights alone. The default is true, but false for `best`, because only its weights are kept.",
      ),
  })
  .meta({ id: "Fork", description: "What a fork begins with, and what it changes." });
export type Fork = z.output<typeof Fork>;

/** What a fork needs of its parent. */
export type Parent = Pick<Job, "id" | "progress" | "parent"> & { readonly spec: Spec };

/** A checkpoint that a fork may begin with. `head` is at least the beginning of its file. */
export interface ForkSource {
  readonly head: Uint8Array;
}

export interface ResolvedFork<Source extends ForkSource> {
  readonly resolved: Resolved;
  readonly source: Source;
  readonly use: "state" | "final" | "best";
  /** The step of the parent whose weights the fork begins with. */
  readonly step: number;
  /** What changes in the progress of the state, in a form that JSON can hold (numbers.ts). */
  readonly changes: object;
  /**
   * The first step from which the spec alone can repeat the steps of the fork. It is 0 if the fork
   * repeats the steps of a job that began with nothing but its spec.
   */
  readonly first: number;
}

/**
 * @param find returns the checkpoint that `step` means, or what is wrong with it
 * @throws Problem `invalid_spec` with every fault; the pointers are into `body`
 */
export async function resolveFork<Source extends ForkSource>(
  body: unknown,
  { id, spec: stored, progress, parent: grandparent }: Parent,
  find: (step: Fork["step"]) => Promise<Source | { fault: string }>,
  context: ResolveContext,
): Promise<ResolvedFork<Source>> {
  const { value: fork, faults: misshapen } = check(Fork, body);
  if (fork === null) throw faulty("invalid_spec", misshapen);
  const parent = presentSpec(stored);
  const use = fork.step === "best" ? "best" : fork.optimizer === false ? "final" : "state";
  const faults: Fault[] = [];
  const found = await find(fork.step);
  const head = "head" in found ? stateHead(found.head) : null;
  if ("fault" in found) faults.push({ pointer: "/step", message: found.fault });
  if (use === "best") faults.push(...bestFaults(fork, head));
  if ("init" in fork.overrides)
    faults.push({ pointer: "/overrides/init", message: "must be left out: a fork begins with its checkpoint" });
  // Defaults that depend on the number of steps are computed again.
  const target = withoutDerived(parent, progress.total_steps);
  const resolved = await resolveOverrides(fork, target, id, faults, context);
  try {
    if (resolved === null || head === null || "fault" in found) throw faulty("invalid_spec", faults);
    const unchanged = hasSameCourse(parent, resolved.spec);
    const changes = changesOf(head, parent, resolved.spec, unchanged);
    faults.push(...weightFaults(fork, head, resolved));
    const untrained = testFault(parent, resolved.spec);
    if (use === "state" && untrained !== null) faults.push({ pointer: "/optimizer", message: untrained });
    else if (use === "state")
      faults.push(
        ...optimizerFaults(head, parent, resolved),
        ...stepFaults(head, changes, resolved),
        ...averagingFaults(head, parent, resolved),
      );
    if (faults.length > 0) throw faulty("invalid_spec", faults);
    const step = use === "best" ? head.progress.best!.step : head.progress.step;
    const first = unchanged && grandparent === null && parent.init === null ? 0 : step;
    return { resolved, source: found, use, step, changes: JSON.parse(exactJson(changes)) as object, first };
  } catch (error) {
    await resolved?.table?.discard();
    throw error;
  }
}

/** A test of rates begins and ends with the weights and moments of step 0. */
function testFault(parent: Spec, own: Spec): string | null {
  const tests = ({ schedule }: Spec) => scheduleType(schedule).tests !== undefined;
  if (tests(own)) return `must be false: ${own.schedule.type} begins at step 0`;
  return tests(parent) ? `must be false: ${parent.schedule.type} ends with the state of step 0` : null;
}

type Head = ReturnType<typeof stateHead>;

/** Null if there are faults, which are then added to `faults`. */
async function resolveOverrides(fork: Fork, target: Spec, parent: string, faults: Fault[], context: ResolveContext) {
  try {
    return await resolveSpec(mergePatch(withOwnEncoders(target), fork.overrides), context, parent);
  } catch (error) {
    if (!(error instanceof Faulty)) throw error;
    for (const { pointer, message } of error.faults) faults.push({ pointer: `/overrides${pointer}`, message });
    return null;
  }
}

/** The fork inherits the encoders of its parent, wherever that has them from. */
function withOwnEncoders(parent: Spec): Spec {
  return { ...parent, data: { ...parent.data, encoders: null, encoders_sha256: null } };
}

function bestFaults(fork: Fork, head: Head | null): Fault[] {
  const faults: Fault[] = [];
  if (fork.optimizer === true) {
    faults.push({ pointer: "/optimizer", message: 'must be false with "best", because only its weights are kept' });
  }
  if (head && (head.progress.best === null || ![...head.shapes.keys()].some(isBestWeight))) {
    faults.push({
      pointer: "/step",
      message: "finds no best weights: they are kept only if checkpoint.keep_best is set",
    });
  }
  return faults;
}

/** A fault for each tensor of weights that differs between the checkpoint and the fork. */
function weightFaults({ overrides }: Fork, head: Head, { shapes }: Resolved): Fault[] {
  const pointer = "model" in overrides ? "/overrides/model" : "/overrides";
  const wanted = shapes();
  return differing(head.shapes, wanted, isWeight).map((name) => {
    const [there, here] = [head.shapes.get(name), wanted.get(name)].map((shape) => shape?.join(" × "));
    if (here === undefined) return { pointer, message: `leaves out ${name}, which is ${there} in the checkpoint` };
    if (there === undefined) return { pointer, message: `needs ${name}, which the checkpoint lacks` };
    return { pointer, message: `makes ${name} ${here}, but it is ${there} in the checkpoint` };
  });
}

function optimizerFaults(head: Head, parent: Spec, { shapes, spec }: Resolved): Fault[] {
  // Parameters that the fork freezes lose their state. Parameters that were frozen begin with a
  // fresh one.
  const learns = (parameter: string, groups: Spec["parameter_groups"]) => learningGroupOf(parameter, groups) !== null;
  const isState = (name: string) =>
    isOptimizerState(name) && [parent, spec].every(({ parameter_groups: groups }) => learns(parameterOf(name), groups));
  const wanted = shapes();
  const names = differing(head.shapes, wanted, isState);
  // If weights differ, their moments differ too. That is not another fault.
  if (names.length === 0 || differing(head.shapes, wanted, isWeight).length > 0) return [];
  const message = `must be false: the state of ${spec.optimizer.type} is not the one in the checkpoint (${names[0]} differs)`;
  return [{ pointer: "/optimizer", message }];
}

function differing(a: Head["shapes"], b: Head["shapes"], among: (name: string) => boolean): string[] {
  const names = new Set([...a.keys(), ...b.keys()].filter(among));
  return [...names].filter((name) => String(a.get(name)) !== String(b.get(name)));
}

/**
 * The number of averages depends on the step alone. So averages that differ from those of the
 * checkpoint can only begin after it.
 */
function averagingFaults({ progress: { step } }: Head, parent: Spec, { spec }: Resolved): Fault[] {
  const [before, { averaging }] = [parent.training.averaging ?? null, spec.training];
  if (averaging === null || averagesBy(averaging, step) === 0) return [];
  if (canonicalJson(before) === canonicalJson(averaging)) return [];
  const message = `must be at least ${step}, the step of the checkpoint: averages that it does not have can only begin after it`;
  return [{ pointer: "/overrides/training/averaging/start_step", message }];
}

/** A state that is not finished must have steps left. */
function stepFaults({ progress: { step } }: Head, { finished }: Partial<Progress>, { totalSteps }: Resolved): Fault[] {
  if (step < totalSteps || finished !== null) return [];
  const message = `must leave steps to take: the checkpoint is at step ${step}, and these epochs make ${totalSteps} steps`;
  return [{ pointer: "/overrides/training/epochs", message }];
}

/** Whether these parts of two specs are the same. */
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

/** Whether a job with one spec takes exactly the steps of a job with the other. */
function hasSameCourse(parent: Spec, spec: Spec): boolean {
  return sameIn(parent, spec, ...task, ...rate, ...rest);
}

/**
 * A state remembers whether it is finished, its best evaluation, and what its schedule and the
 * detectors saw. The overrides may make that untrue.
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

/** The test metrics of the parent are not those of the weights that the fork will have. */
function untested({ metrics }: Progress): Progress["metrics"] {
  return Object.fromEntries(Object.entries(metrics).filter(([name]) => !name.startsWith("test_")));
}

/**
 * The detectors start again. If the task is the same, they compare with the loss at the start of
 * the parent's training.
 */
function diagnosisAfter({ diagnosis: { firstLoss, start, learned } }: Progress, sameTask: boolean): DiagnosisState {
  return { ...freshDiagnosis(), ...(sameTask ? { firstLoss, start, learned } : { learned: true }) };
}

/**
 * A group takes over the state of the group that its first parameter was in. It takes over the
 * state of a schedule that follows a metric only if its base rate is the same.
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
