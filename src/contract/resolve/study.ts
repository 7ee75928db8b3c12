/*
 * Turns what a client wrote of a study into one that the library in src/studies can plan, or into a
 * list of its faults. What the faults of trials' specs have to do with the space is found out here
 * too: a value that a spec may not have is a fault of the space.
 */
import { isDeepStrictEqual } from "node:util";
import { directionOf } from "../../engine/metrics/metrics.ts";
import { schedules } from "../../engine/schedules/registry.generated.ts";
import { pruners } from "../../studies/pruners/registry.generated.ts";
import { samplers } from "../../studies/samplers/registry.generated.ts";
import { mostOf } from "../../studies/plan.ts";
import { contains, ordered, tokensOf, valueIn, type Parameter, type Placed } from "../../studies/space.ts";
import type { Study } from "../../studies/study.ts";
import { MAX_PARAMETERS, MAX_TRIALS, type Domain, type StudyRequest } from "../wire/study.ts";
import { didYouMean, pointer, type Fault } from "./faults.ts";
import { MAX_EPOCHS } from "../schema/training-spec.ts";
import { Spec } from "../schema/spec.ts";

/** The parts of a spec that a space may point into. The others are no part of a training. */
const SEARCHED = ["model", "init", "loss", "optimizer", "parameter_groups", "schedule", "training", "detectors"];
/** Metadata of each trial's jobs that the study adds. */
export const ADDED_METADATA = ["study", "trial"];
const MAX_METADATA = 16 - ADDED_METADATA.length;

const place = (at: string, ...rest: string[]) => pointer(["space", at, ...rest]);

/** The parameters of a space, in the order in which they are set. Faults are added to `faults`. */
export function parametersOf(space: StudyRequest["space"], faults: Fault[]): readonly Parameter[] {
  const found = Object.entries(space).map(([at, domain]) => toParameter(at, domain));
  if (found.length === 0 || found.length > MAX_PARAMETERS) {
    faults.push({ pointer: "/space", message: `must have 1 to ${MAX_PARAMETERS} parameters, not ${found.length}` });
    return [];
  }
  for (const parameter of found) faults.push(...pointerFaults(parameter.pointer), ...domainFaults(parameter));
  for (const parameter of found) faults.push(...conditionFaults(parameter, found));
  const sorted = ordered(found);
  if (sorted === null)
    faults.push({ pointer: "/space", message: "has parameters whose conditions depend on each other" });
  return sorted ?? [];
}

function toParameter(at: string, { when = {}, ...rest }: Domain): Parameter {
  if ("choice" in rest) return { pointer: at, domain: { kind: "choice", values: rest.choice }, when };
  const [[kind, [low, high]]] = Object.entries(rest) as ["int" | "uniform" | "log_uniform", [number, number]][];
  return { pointer: at, domain: { kind, low, high }, when };
}

function pointerFaults(at: string): Fault[] {
  const fault = (message: string) => [{ pointer: place(at), message }];
  if (!/^(\/([^~/]|~[01])*)+$/.test(at))
    return fault('must be the JSON pointer of a part of the spec, as "/optimizer/lr"');
  const [head] = tokensOf(at);
  if (head === "data") return fault("changes the data: all trials of a study must have the same");
  if (contains("/training/seed", at)) return fault("is the study's: set /seeds for several seeds of each trial");
  if (contains("/training/pruning", at)) return fault("is set by the study's pruner");
  if (at === "/training") return fault("contains the seed, which is the study's: name its parts");
  if (SEARCHED.includes(head)) return [];
  if (Object.hasOwn(Spec.shape, head)) return fault("is no part of the training");
  return fault(`points nowhere: a spec has no ${JSON.stringify(head)}${didYouMean(head, SEARCHED)}`);
}

const TRAINS_NONE = "may not be a test of learning rates, which trains no model";

/** Whether a schedule of this type tests rates. */
function isTest(type: unknown): boolean {
  return typeof type === "string" && Object.hasOwn(schedules, type) && schedules[type].tests !== undefined;
}

/** The type of schedule that this value sets there, if it sets one. */
function typeSetBy(at: string, value: unknown): unknown {
  if (at === "/schedule/type") return value;
  return at === "/schedule" ? valueIn(value, "/type") : undefined;
}

function domainFaults({ pointer: at, domain }: Parameter): Fault[] {
  if (domain.kind !== "choice") {
    const fault = (message: string) => [{ pointer: place(at, domain.kind), message }];
    if (!(domain.low < domain.high)) return fault("must have a highest value above the lowest");
    const isTooWide = domain.kind !== "log_uniform" && !Number.isFinite(domain.high - domain.low);
    return isTooWide ? fault("must be narrower: its width is no finite number") : [];
  }
  const test = domain.values.findIndex((value) => isTest(typeSetBy(at, value)));
  if (test !== -1) return [{ pointer: place(at, "choice", String(test)), message: TRAINS_NONE }];
  const again = domain.values.findIndex((value, i) =>
    domain.values.slice(0, i).some((other) => isDeepStrictEqual(value, other)),
  );
  return again === -1 ? [] : [{ pointer: place(at, "choice", String(again)), message: "is there already" }];
}

function conditionFaults({ pointer: at, when }: Parameter, parameters: readonly Parameter[]): Fault[] {
  const choices = parameters.filter(({ domain, pointer }) => domain.kind === "choice" && pointer !== at);
  return Object.keys(when)
    .filter((condition) => !choices.some((choice) => contains(choice.pointer, condition)))
    .map((condition) => ({
      pointer: place(at, "when", condition),
      message: "must point at another choice of the space, or into its values",
    }));
}

/**
 * The study as the library plans it; null if it has faults, which are then added to `faults`.
 * @param epochs of the spec; null if they are not known
 */
export function studyOf(
  request: Pick<StudyRequest, "spec" | "objective" | "direction" | "sampler" | "pruner" | "seed" | "parallel">,
  parameters: readonly Parameter[],
  epochs: number | null,
  faults: Fault[],
): Study {
  const { spec, objective, sampler, pruner, seed, parallel } = request;
  const direction = directionOf(objective) === "max" ? "maximize" : "minimize";
  if (request.direction !== null && request.direction !== direction) {
    const message = `must be ${JSON.stringify(direction)}, or left out: that is the direction of ${objective}`;
    faults.push({ pointer: "/direction", message });
  }
  const study = { spec, parameters, direction, sampler, pruner, seed, parallel, epochs: epochs ?? 1 } as const;
  const among = (section: string) => (fault: { option: string; message: string }) => ({
    pointer: `/${section}/${fault.option}`,
    message: fault.message,
  });
  if (parameters.length > 0)
    faults.push(...(samplers[sampler.type].check?.(sampler, study) ?? []).map(among("sampler")));
  faults.push(...(pruners[pruner.type].check?.(pruner, study) ?? []).map(among("pruner")));
  const epochsVary = parameters.find(({ pointer: at }) => contains("/training/epochs", at));
  if (pruner.type !== "none" && epochsVary) {
    const message = "compares trials at the same epoch, so the space may not have /training/epochs: use none";
    faults.push({ pointer: "/pruner/type", message });
  }
  return study;
}

/** How many trials a study has. */
export function trialsOf({ trials, seeds }: StudyRequest, study: Study, faults: Fault[]): number {
  const size = samplers[study.sampler.type].size?.(study.sampler, study) ?? null;
  const fault = (message: string) => faults.push({ pointer: "/trials", message });
  if (trials === null && size === null) fault("is required, except with the sampler grid");
  const count = trials ?? size ?? 0;
  if (size !== null && count > size) fault(`must be at most ${size}, the points of the grid`);
  const most = mostOf(study, MAX_EPOCHS);
  if (count > most) fault(`must be at most ${most}: the rounds together have at most ${MAX_EPOCHS} epochs`);
  if (count * seeds > MAX_TRIALS) {
    fault(`times /seeds must be at most ${MAX_TRIALS}, not ${count * seeds}`);
  }
  return count;
}

/** What a study leaves no room for in its spec. */
export function baseFaults({ spec, seeds }: Pick<StudyRequest, "spec" | "seeds">): Fault[] {
  const faults: Fault[] = [];
  const last = Number(valueIn(spec, "/training/seed") ?? 0) + (seeds - 1);
  if (last > Number.MAX_SAFE_INTEGER) {
    const message = `plus /seeds − 1 must be at most ${Number.MAX_SAFE_INTEGER}, not ${last}`;
    faults.push({ pointer: "/spec/training/seed", message });
  }
  if ((valueIn(spec, "/training/pruning") ?? null) !== null) {
    faults.push({ pointer: "/spec/training/pruning", message: "must be left out: the study's pruner sets it" });
  }
  if (isTest(valueIn(spec, "/schedule/type"))) faults.push({ pointer: "/spec/schedule/type", message: TRAINS_NONE });
  const names = Object.keys((valueIn(spec, "/metadata") as object | null | undefined) ?? {});
  const taken = names.find((name) => ADDED_METADATA.includes(name));
  if (taken !== undefined) faults.push({ pointer: `/spec/metadata/${taken}`, message: "is set by the study" });
  if (names.length > MAX_METADATA) {
    const message = `must have at most ${MAX_METADATA} entries, because the study adds ${ADDED_METADATA.join(" and ")}`;
    faults.push({ pointer: "/spec/metadata", message });
  }
  return faults;
}

interface TrialFault extends Fault {
  /** The values of the space that the spec had; null if there is nothing to say of them. */
  readonly here: string | null;
}

/** Where the faults of a trial's spec come from: the space, the objective, or the study's spec. */
export function faultsOfTrial(
  faults: readonly Fault[],
  { values }: Placed,
  parameters: readonly Parameter[],
): TrialFault[] {
  return faults.map(({ pointer: at, message }) => {
    const fault = { message, here: null };
    if (contains("/training/pruning", at)) return { ...fault, pointer: "/objective" };
    const set = parameters.findLast(({ pointer }) => Object.hasOwn(values, pointer) && contains(pointer, at));
    if (set === undefined) return { message, here: within(at, values), pointer: `/spec${at}` };
    const { domain } = set;
    const value = values[set.pointer];
    if (domain.kind !== "choice") return { message, pointer: place(set.pointer), here: `it is ${String(value)}` };
    const index = domain.values.findIndex((other) => isDeepStrictEqual(other, value));
    return { ...fault, pointer: place(set.pointer, "choice", String(index)) + at.slice(set.pointer.length) };
  });
}

/** What the space has set in a part of the spec, without values that may be long. */
function within(part: string, values: Placed["values"]): string | null {
  const set = Object.entries(values).filter(([at, value]) => contains(part, at) && typeof value !== "object");
  return set.length === 0 ? null : set.map(([at, value]) => `${at} is ${JSON.stringify(value)}`).join(", ");
}

/** Each fault once, although several trials have it. */
export function distinct(faults: readonly TrialFault[]): Fault[] {
  const byText = Map.groupBy(faults, ({ pointer, message }) => `${pointer} ${message}`);
  return [...byText.values()].map(([{ pointer, message, here }]) => ({
    pointer,
    message: here === null ? message : `${message} (here ${here})`,
  }));
}
