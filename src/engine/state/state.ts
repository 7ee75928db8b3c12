import { hash } from "node:crypto";
import { ARITHMETIC_VERSION } from "../kernels/kernels.ts";
import { freshDiagnosis, type DiagnosisState } from "../watch/diagnosis.ts";
import type { TorchTensor } from "../optimizers/torch.ts";
import { learningGroupOf, learningGroups } from "../plan/groups.ts";
import { bufferBytes, type Plan } from "../plan/model.ts";
import { configure } from "../optimizers/configure.ts";
import type { ParameterGroup, Member } from "../settings.ts";
import { exactJson, fromExactJson } from "./numbers.ts";
import type { RangeTestResult } from "../watch/range-test.ts";
import type { Change } from "../watch/rewind.ts";
import type { FollowerState } from "../schedules/follower.ts";
import type { ScheduleState } from "../schedules/schedule.ts";
import { readHeader, readSafetensors, writeSafetensors, type Dtype, type Tensor } from "./safetensors.ts";
import { size, type Shape } from "../member/shape.ts";

/*
 * The whole training state as one safetensors file: weights under PyTorch's names, the optimizer's
 * tensors as `optimizer.exp_avg.<name>`, evaluation weights as `evaluated.<name>` if they differ
 * from the weights, best weights as `best.<name>`. What is not a tensor is JSON in the metadata
 * (numbers.ts), including the names of the parameters in the model's order. From a restored state
 * training goes on bit for bit. This file also makes the model file that is served from a state.
 */

/**
 * Why a job ended without failing. `pruned`: it was worse at a rung than its spec wants.
 * `diagnosed`: a detector with the policy `stop` found something.
 */
export type StopReason = "completed" | "early_stopping" | "pruned" | "diagnosed";

/** The part of a run's state that is not in tensors. */
export interface Progress {
  /** Steps finished. */
  step: number;
  finished: StopReason | null;
  /** The best evaluation so far. */
  best: { step: number; metric: string; value: number } | null;
  /** Evaluations since the best one. */
  worse: number;
  /** Loss summed, and steps counted, since the last log entry. */
  lossSum: number;
  lossSteps: number;
  /** The last evaluation. */
  metrics: Record<string, number>;
  /** The schedule's state if it follows a metric; else null. */
  schedule: FollowerState | null;
  /**
   * Steps whose gradient was clipped, and all steps, since the last observation. Only the leader
   * updates its copy.
   */
  clipped: { count: number; steps: number };
  /** The state of the detectors. Only the leader updates its copy. */
  diagnosis: DiagnosisState;
  /** The rewinds so far, in the order in which they were made. */
  changes: readonly Change[];
  /** The optimizer's own doubles. */
  scalars: Record<string, number>;
  /**
   * The state of each parameter group that learns, in their order: the schedule's state for the
   * group's base rate, and the optimizer's doubles.
   */
  groups: GroupProgress[];
  /** What a test of rates found; absent unless it has ended. */
  rangeTest?: RangeTestResult;
}

export interface GroupProgress {
  schedule: ScheduleState | null;
  scalars: Record<string, number>;
}

export function freshProgress(): Progress {
  return {
    step: 0,
    finished: null,
    best: null,
    worse: 0,
    lossSum: 0,
    lossSteps: 0,
    metrics: {},
    schedule: null,
    clipped: { count: 0, steps: 0 },
    diagnosis: freshDiagnosis(),
    changes: [],
    scalars: {},
    groups: [],
  };
}

/** A tensor of the state and where it lies in the job's memory. */
export interface StateEntry {
  readonly name: string;
  readonly shape: readonly number[];
  readonly address: number;
  readonly bytes: number;
  readonly dtype?: Dtype;
  /** Whether it is state that does not learn. */
  readonly isBuffer?: boolean;
  /** Names of parameters that are tied to it. The model file has it under these names too. */
  readonly tied?: readonly string[];
}

export function stateEntries(plan: Pick<Plan, "parameters" | "buffers">): StateEntry[] {
  const parameters = plan.parameters.flatMap(({ name, shape: whole, weight, state, evaluated, best, uses }) => {
    const entry = (prefix: string, address: number, shape = whole) => ({
      name: `${prefix}${name}`,
      shape,
      address,
      bytes: size(shape) * 4,
    });
    const tied = uses.slice(1).map((use) => use.name);
    return [
      { ...entry("", weight), tied },
      ...state.map((tensor) => entry(`optimizer.${tensor.name}.`, tensor.address, tensor.shape)),
      ...(evaluated === weight ? [] : [entry("evaluated.", evaluated)]),
      ...(best === 0 ? [] : [entry("best.", best)]),
    ];
  });
  const buffers = plan.buffers.flatMap(({ name, shape, type, address, best }) => {
    const kept = { shape, bytes: bufferBytes({ shape, type }), dtype: type === "int64" ? "I64" : "F32" } as const;
    const own = { ...kept, name, address, isBuffer: true };
    return best === 0 ? [own] : [own, { ...kept, name: `best.${name}`, address: best }];
  });
  return [...parameters, ...buffers];
}

/**
 * Writes the state file from the bytes that lie `offset` bytes after the entries' addresses (the
 * snapshot buffer).
 */
export function writeState(
  memory: Uint8Array,
  entries: readonly StateEntry[],
  offset: number,
  progress: Progress,
): Uint8Array<ArrayBuffer> {
  return writeSafetensors(tensorsAt(memory, entries, offset), {
    format: "pt",
    arithmetic_version: String(ARITHMETIC_VERSION),
    parameters: JSON.stringify(entries.filter(({ name, isBuffer }) => isWeight(name) && !isBuffer).map(nameOf)),
    ...described("buffers", entries.filter(({ isBuffer }) => isBuffer).map(nameOf)),
    ...described("tied", tiedNames(entries)),
    progress: exactJson(progress),
  });
}

export function tensorsAt(memory: Uint8Array, entries: readonly StateEntry[], offset: number): Tensor[] {
  return entries.map(({ name, shape, address, bytes, dtype }) => ({
    name,
    shape,
    dtype,
    bytes: memory.subarray(address + offset, address + offset + bytes),
  }));
}

const nameOf = ({ name }: { readonly name: string }): string => name;

/** A list in a state's metadata, which only models that have such things have. */
function described(key: "buffers" | "tied", list: readonly unknown[]): Record<string, string> {
  return list.length === 0 ? {} : { [key]: JSON.stringify(list) };
}

/** Each name of a tied parameter, and the parameter that it is. */
export function tiedNames(entries: readonly StateEntry[]): [name: string, parameter: string][] {
  return entries.flatMap(({ name, tied = [] }) => tied.map((other): [string, string] => [other, name]));
}

/** A list that `described` wrote. */
export function listIn<T>(metadata: Readonly<Record<string, string>>, key: "buffers" | "tied"): T[] {
  return metadata[key] === undefined ? [] : (JSON.parse(metadata[key]) as T[]);
}

/**
 * Copies a state file's tensors into the memory and returns the rest.
 * @throws Error if the file is damaged or is not of this plan; the content of the memory is then
 * undefined.
 */
export function restoreState(file: Uint8Array, memory: Uint8Array, entries: readonly StateEntry[]): Progress {
  return progressIn(restoreTensors(file, memory, entries));
}

/**
 * Copies the tensors of a file of initial weights into the memory, and returns the names of the
 * entries that it lacks.
 * @throws Error as restoreState
 */
export function restoreWeights(file: Uint8Array, memory: Uint8Array, entries: readonly StateEntry[]): string[] {
  const { tensors } = readHeader(file);
  const [there, missing] = [true, false].map((has) =>
    entries.filter(({ name }) => Object.hasOwn(tensors, name) === has),
  );
  restoreTensors(file, memory, there);
  return missing.map(({ name }) => name);
}

/**
 * Copies the tensors of a state file, or of a model file, into the memory and returns its metadata.
 * @throws Error as restoreState
 */
export function restoreTensors(
  file: Uint8Array,
  memory: Uint8Array,
  entries: readonly StateEntry[],
): Readonly<Record<string, string>> {
  const { tensors, metadata } = readSafetensors(file);
  for (const { name, shape, address } of entries) {
    const tensor = tensors.get(name);
    if (tensor === undefined) throw new Error(`the checkpoint lacks the tensor ${name}`);
    if (String(tensor.shape) !== String(shape))
      throw new Error(`the checkpoint's ${name} is ${tensor.shape.join(" × ")}, the model's ${shape.join(" × ")}`);
    memory.set(tensor.bytes, address);
  }
  const tied = tiedNames(entries).filter(([name]) => tensors.has(name));
  if (tensors.size !== entries.length + tied.length) throw new Error("the checkpoint has tensors that the model lacks");
  return metadata;
}

export interface StateHead {
  readonly shapes: ReadonlyMap<string, Shape>;
  /** Names, in the model's order. */
  readonly parameters: readonly string[];
  readonly progress: Progress;
}

/** Reads the beginning of a state file. @throws Error if it is not a state file */
export function stateHead(file: Uint8Array): StateHead {
  const { tensors, metadata } = readHeader(file);
  const shapes = new Map(Object.entries(tensors).map(([name, { shape }]) => [name, shape]));
  // Here, too, a checkpoint may be older than a field.
  const parameters = metadata.parameters
    ? (JSON.parse(metadata.parameters) as string[])
    : [...shapes.keys()].filter(isWeight);
  return { shapes, parameters, progress: progressIn(metadata) };
}

function progressIn(metadata: Readonly<Record<string, string>>): Progress {
  // A checkpoint may be older than a field.
  return { ...freshProgress(), ...(fromExactJson(metadata.progress) as Partial<Progress>) };
}

/** A tensor of the state whose name begins with one of these is not a trained weight. */
const PREFIXES = { optimizer: "optimizer.", evaluated: "evaluated.", best: "best." };

const prefixes = Object.values(PREFIXES);

export function isWeight(name: string): boolean {
  return !prefixes.some((prefix) => name.startsWith(prefix));
}

export function isOptimizerState(name: string): boolean {
  return name.startsWith(PREFIXES.optimizer);
}

export function isBestWeight(name: string): boolean {
  return name.startsWith(PREFIXES.best);
}

/** The name of the parameter that a tensor of the state belongs to. */
export function parameterOf(name: string): string {
  if (isWeight(name)) return name;
  const before = isOptimizerState(name) ? 2 : 1;
  return name.split(".").slice(before).join(".");
}

/** What a job that continues from another's state keeps in its own state. */
export interface Successor {
  readonly keepBest: boolean;
  /** Whether the weights that it evaluates differ from those that it trains. */
  readonly evaluatesOthers: boolean;
  readonly optimizer: Member;
  readonly groups: readonly ParameterGroup[];
}

/**
 * Makes the state from which another job continues. `changes` are changes of its progress. It has
 * evaluation and best weights if that job needs them: where the state has none, they are copies of
 * the weights. A parameter that the job's `groups` freeze has no optimizer state and keeps the
 * weights that were last served.
 */
export function forkState(
  file: Uint8Array,
  changes: Partial<Progress>,
  { keepBest, evaluatesOthers, optimizer, groups }: Successor,
): HashedFile {
  const { tensors, metadata } = readSafetensors(file);
  const buffers = new Set(listIn<string>(metadata, "buffers"));
  const isFrozen = ({ name }: Tensor) => buffers.has(name) || learningGroupOf(parameterOf(name), groups) === null;
  const weights = [...tensors.values()]
    .filter(({ name }) => isWeight(name))
    .map((weight) =>
      isFrozen(weight) ? { ...weight, ...tensors.get(`evaluated.${weight.name}`), name: weight.name } : weight,
    );
  const learning = weights.filter((weight) => !isFrozen(weight));
  const copies = (prefix: string, of: readonly Tensor[]) =>
    of.map((weight) => ({ ...weight, ...tensors.get(prefix + weight.name), name: prefix + weight.name }));
  const kept = [
    ...weights,
    ...[...tensors.values()].filter((tensor) => isOptimizerState(tensor.name) && !isFrozen(tensor)),
    ...learning.flatMap((weight) => freshState(weight, optimizer, groups)).filter(({ name }) => !tensors.has(name)),
    ...(evaluatesOthers ? copies(PREFIXES.evaluated, learning) : []),
    ...(keepBest ? copies(PREFIXES.best, weights) : []),
  ];
  const progress = { ...progressIn(metadata), ...changes };
  return hashed(writeSafetensors(kept, { ...metadata, progress: exactJson(progress) }));
}

/** What an optimizer keeps for a parameter before its first step. */
function freshState({ name, shape, bytes }: Tensor, optimizer: Member, groups: readonly ParameterGroup[]): Tensor[] {
  const group = learningGroupOf(name, groups)!;
  const kept = configure(learningGroups(optimizer, groups)[group].optimizer).state(shape);
  return kept.map(({ name: own, initial, shape: ownShape = shape }) => ({
    name: `${PREFIXES.optimizer}${own}.${name}`,
    shape: ownShape,
    bytes: initial === "parameter" ? bytes : new Uint8Array(new Float32Array(size(ownShape)).fill(initial).buffer),
  }));
}

/**
 * A file whose tensors are cut from those of a state file. @throws Error if the state file is
 * damaged
 */
export function assembledFile(file: Uint8Array, wanted: ReadonlyMap<string, TorchTensor>): HashedFile {
  const { tensors } = readSafetensors(file);
  const assembled = [...wanted].map(([name, { shape, of }]) => {
    const stretches = of.map(({ tensor, begin, length }) =>
      tensors.get(tensor)!.bytes.subarray(begin * 4, (begin + length) * 4),
    );
    return { name, shape, bytes: stretches.length === 1 ? stretches[0] : Buffer.concat(stretches) };
  });
  return hashed(writeSafetensors(assembled, { format: "pt" }));
}

/** To copy and hash so many bytes takes less time than to ask another thread for it. */
export const SMALL_BYTES = 2 ** 18;

export interface HashedFile {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly sha256: string;
}

export function hashed(bytes: Uint8Array<ArrayBuffer>): HashedFile {
  return { bytes, sha256: hash("sha256", bytes, "hex") };
}

/** Writes the state in the snapshot buffer. */
export function snapshotFile(memory: Uint8Array, plan: Plan, progress: Progress): HashedFile {
  const { state, snapshot } = plan.addresses;
  return hashed(writeState(memory, stateEntries(plan), snapshot - state, progress));
}
