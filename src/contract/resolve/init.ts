/*
 * What a job begins with instead of random weights: tensors of a file that was uploaded, or of
 * another job's checkpoint, under the names of its own model.
 *
 * They are taken when the job is created, and the job keeps them as a file of its own. So neither
 * the file nor the checkpoint needs to stay. The hash of what was taken is in the spec and stands
 * for it in the spec's identity.
 */
import { runInHelper, thisProcess, type Caller } from "../../data/pool.ts";
import { takenAs, type Wanted, type WeightsSource } from "../../data/weights.ts";
import { isBestWeight, isWeight, stateHead, type StateEntry } from "../../engine/state/state.ts";
import { readHeader } from "../../engine/state/safetensors.ts";
import type { Init } from "../schema/init.ts";
import { listed, type Fault } from "./faults.ts";
import type { Warning } from "./warnings.ts";

/** A tensor of a file of weights, with the names of the wire. */
export interface FileTensor {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
}

export interface UploadedWeights {
  readonly tensors: readonly FileTensor[];
  readonly sha256: string;
  readonly path: string;
}

export interface InitCheckpoint {
  /** At least the beginning of its file. */
  readonly head: Uint8Array;
  /** Null: it has just been removed. */
  bytes(): Promise<Uint8Array | null>;
}

export interface InitContext {
  /** Finds weights of the owner. */
  weights(id: string): Promise<UploadedWeights | null>;
  /** Finds a checkpoint of a job of the owner; null: no such job; `fault`: why there is none. */
  checkpoint(job: string, step: number | "final" | "best"): Promise<InitCheckpoint | { readonly fault: string } | null>;
  readonly caller?: Caller;
}

/** What a job begins with. */
export interface Start {
  readonly bytes: Uint8Array;
  readonly sha256: string;
  readonly warnings: readonly Warning[];
  readonly told: StartTold;
}

/** What the event of the creation tells of it. */
export interface StartTold {
  readonly from: string;
  /** How many tensors were taken. */
  readonly taken: number;
  /** Tensors there that were not, and tensors here that are random: the first ones. */
  readonly left: readonly string[];
  readonly random: readonly string[];
}

/** Most names that the event of the creation has of each kind. */
const MAX_TOLD = 10;

/** Null if there are faults, which are then added to `faults`. */
export async function startOf(
  init: Init,
  entries: readonly StateEntry[],
  context: InitContext,
  faults: Fault[],
): Promise<Start | null> {
  const found = "weights" in init ? await uploadedOf(init, context) : await checkpointOf(init, context);
  if ("pointer" in found) {
    faults.push(found);
    return null;
  }
  const match = matchTensors(
    found.tensors,
    entries.filter(({ name }) => isWeight(name)),
    init.map,
  );
  for (const fault of [...match.faults, ...(init.strict ? strictFaults(match) : [])]) faults.push(fault);
  if (match.wanted.length === 0 && !init.strict)
    faults.push({ pointer: "/init", message: `gives nothing: none of ${listed(found.tensors.map(nameOf))} fits` });
  if (faults.length > 0) return null;
  const taken = await take(found, match.wanted, init, context.caller);
  if ("pointer" in taken) {
    faults.push(taken);
    return null;
  }
  return { ...taken, warnings: warningsOf(match), told: toldOf(found.name, match) };
}

async function take(
  found: Found,
  wanted: readonly Wanted[],
  init: Init,
  caller = thisProcess,
): Promise<Pick<Start, "bytes" | "sha256"> | Fault> {
  const [what, pointer] = "weights" in init ? ["weights", "/init/weights"] : ["a checkpoint", "/init/step"];
  const from = await found.from();
  if (from === null) return { pointer, message: `means ${what} that was removed just now` };
  const taken = await runInHelper("takeWeights", { from, wanted }, caller);
  if ("damaged" in taken) return { pointer, message: "names weights whose file is damaged; upload it again" };
  if ("unfit" in taken) return { pointer, message: `cannot be used: ${taken.unfit.replace(/\.$/, "")}` };
  if (init.sha256 === null || init.sha256 === taken.sha256) return taken;
  return { pointer: "/init/sha256", message: `must be null or ${taken.sha256}, the hash of what is taken` };
}

interface Found {
  readonly name: string;
  readonly tensors: readonly FileTensor[];
  from(): Promise<WeightsSource | null>;
}

async function uploadedOf(
  { weights: id }: Extract<Init, { weights: string }>,
  context: InitContext,
): Promise<Found | Fault> {
  const weights = await context.weights(id);
  if (weights === null) return { pointer: "/init/weights", message: "names weights that do not exist" };
  const { path, sha256, tensors } = weights;
  return { name: id, tensors, from: async () => ({ path, sha256 }) };
}

async function checkpointOf(
  { job, step }: Extract<Init, { job: string }>,
  context: InitContext,
): Promise<Found | Fault> {
  const found = await context.checkpoint(job, step);
  if (found === null) return { pointer: "/init/job", message: `names ${job}, which does not exist` };
  if ("fault" in found) return { pointer: "/init/step", message: found.fault };
  const { shapes, progress } = stateHead(found.head);
  const names = [...shapes.keys()];
  if (step === "best" && (progress.best === null || !names.some(isBestWeight)))
    return {
      pointer: "/init/step",
      message: "finds no best weights: they are kept only if checkpoint.keep_best is set",
    };
  const { tensors } = readHeader(found.head);
  return {
    name: `step ${step === "best" ? progress.best!.step : progress.step} of ${job}`,
    tensors: names.filter(isWeight).map((name) => ({ name, dtype: tensors[name].dtype, shape: tensors[name].shape })),
    from: async () => {
      const state = await found.bytes();
      return state && { state, which: step === "best" ? "best" : "final" };
    },
  };
}

const nameOf = ({ name }: { readonly name: string }): string => name;

interface Match {
  readonly wanted: readonly Wanted[];
  readonly converted: readonly FileTensor[];
  /** Tensors there that the model lacks. */
  readonly unexpected: readonly FileTensor[];
  readonly misshapen: readonly { readonly theirs: FileTensor; readonly ours: StateEntry }[];
  /** Tensors here that are missing there. */
  readonly missing: readonly StateEntry[];
  readonly faults: readonly Fault[];
}

function matchTensors(
  theirs: readonly FileTensor[],
  ours: readonly StateEntry[],
  map: Readonly<Record<string, string>>,
): Match {
  const byName = new Map(ours.flatMap((entry) => [entry.name, ...(entry.tied ?? [])].map((name) => [name, entry])));
  const rules = Object.entries(map).toSorted(([a], [b]) => b.length - a.length);
  const used = new Set<string>();
  const takers = new Map<string, [FileTensor, ...FileTensor[]]>();
  const faults: Fault[] = [];
  const unexpected: FileTensor[] = [];
  const misshapen: { theirs: FileTensor; ours: StateEntry }[] = [];
  for (const tensor of theirs) {
    const [key, name] = renamed(tensor.name, rules);
    if (key !== null) used.add(key);
    const entry = byName.get(name);
    if (entry === undefined) unexpected.push(tensor);
    else if (!fits(tensor, entry)) misshapen.push({ theirs: tensor, ours: entry });
    else if (!takers.has(entry.name)) takers.set(entry.name, [tensor]);
    // A file may have a tied parameter under each of its names.
    else if (entry.tied?.length) takers.get(entry.name)!.push(tensor);
    else {
      const message = `makes both ${takers.get(entry.name)![0].name} and ${tensor.name} ${name}`;
      faults.push({ pointer: "/init/map", message });
    }
  }
  for (const key of Object.keys(map))
    if (!used.has(key))
      faults.push({ pointer: "/init/map", message: `has ${JSON.stringify(key)}, with which no tensor there begins` });
  const misfits = new Set(misshapen.map(({ ours: entry }) => entry.name));
  const missing = ours.filter(({ name }) => !takers.has(name) && !misfits.has(name));
  const wanted = ours.flatMap(({ name, shape, dtype = "F32" }): Wanted[] => {
    const [tensor, ...same] = takers.get(name) ?? [];
    return tensor === undefined ? [] : [{ theirs: tensor.name, ours: name, dtype, shape, same: same.map(nameOf) }];
  });
  const converted = [...takers.values()].flat().filter(({ dtype }) => dtype !== takenAs(dtype));
  return { wanted, converted, unexpected, misshapen, missing, faults };
}

/** The rule that fits a name, and the name here. */
function renamed(name: string, rules: readonly (readonly [string, string])[]): [key: string | null, name: string] {
  for (const [key, to] of rules) {
    if (name === key) return [key, to];
    const isPrefix = name.startsWith(key) && (key === "" || key.endsWith(".") || name[key.length] === ".");
    if (isPrefix) return [key, to + name.slice(key.length)];
  }
  return [null, name];
}

function fits({ dtype, shape }: FileTensor, entry: StateEntry): boolean {
  return takenAs(dtype) === (entry.dtype ?? "F32") && String(shape) === String(entry.shape);
}

const RENAME = '"map" gives it another name, and "strict": false leaves it out';

function strictFaults({ unexpected, misshapen, missing }: Match): Fault[] {
  const pointer = "/init";
  return [
    ...missing.map((ours) => ({ pointer, message: `lacks ${described(ours)}, which the model needs` })),
    ...unexpected.map((theirs) => ({ pointer, message: `has ${described(theirs)}, which the model lacks; ${RENAME}` })),
    ...misshapen.map(({ theirs, ours }) => ({
      pointer,
      message: `has ${described(theirs)}, and the model's is ${described(ours)}; with "strict": false that begins at random`,
    })),
  ];
}

function described({ name, shape, dtype = "F32" }: { name: string; shape: readonly number[]; dtype?: string }): string {
  return `${name} (${dtype}, ${shape.length === 0 ? "one number" : shape.join(" × ")})`;
}

function warningsOf({ converted, unexpected, misshapen, missing }: Match): Warning[] {
  const warnings: Warning[] = [];
  const warn = (code: Warning["code"], names: readonly { name: string }[], message: (names: string) => string) => {
    if (names.length > 0) warnings.push({ pointer: "/init", code, message: message(listed(names.map(nameOf))) });
  };
  warn("converted_weights", converted, (names) => `converts ${names} to float32, or counts to int64`);
  const left = [...unexpected, ...misshapen.map(({ theirs }) => theirs)];
  warn("left_weights", left, (names) => `does not use ${names}, for which the model has no tensor of that shape`);
  const random = [...missing, ...misshapen.map(({ ours }) => ours)];
  warn("random_weights", random, (names) => `has nothing for ${names}: they are random`);
  return warnings;
}

function toldOf(from: string, { wanted, unexpected, misshapen, missing }: Match): StartTold {
  const first = (tensors: readonly { name: string }[]) => tensors.slice(0, MAX_TOLD).map(nameOf);
  return {
    from,
    taken: wanted.length,
    left: first([...unexpected, ...misshapen.map(({ theirs }) => theirs)]),
    random: first([...missing, ...misshapen.map(({ ours }) => ours)]),
  };
}
