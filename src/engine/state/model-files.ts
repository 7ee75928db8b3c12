import type { Plan } from "../plan/model.ts";
import { readHeader, readSafetensors, writeSafetensors, type Tensor } from "./safetensors.ts";
import {
  hashed,
  isWeight,
  listIn,
  snapshotFile,
  stateEntries,
  tensorsAt,
  tiedNames,
  type HashedFile,
  type Progress,
} from "./state.ts";

/*
 * The model files of a job that has ended: the state_dict alone, of its last or its best weights.
 */

export type Which = "final" | "best";

/** The model files that a job has when it has ended. `best`: its best evaluation. */
export function keptModels(keepBest: boolean, best: Progress["best"]): readonly Which[] {
  return keepBest && best !== null ? ["final", "best"] : ["final"];
}

/** The model files of a job that has ended, in the order of `keptModels`. */
export interface ModelFiles {
  readonly models: readonly HashedFile[];
}

/** A job's last state, with its model files. */
export type FinalFile = HashedFile & ModelFiles;

/** Writes both from the snapshot buffer. */
export function finalFile(memory: Uint8Array, plan: Plan, progress: Progress, keepBest: boolean): FinalFile {
  return { ...snapshotFile(memory, plan, progress), models: modelFiles(memory, plan, progress, keepBest) };
}

/** Writes the models in the snapshot buffer, in the order of `keptModels`. */
export function modelFiles(memory: Uint8Array, plan: Plan, { best }: Progress, keepBest: boolean): HashedFile[] {
  const offset = plan.addresses.snapshot - plan.addresses.state;
  return keptModels(keepBest, best).map((which) => {
    const { header, length, places } = layoutOf(memory, plan, which);
    const file = new Uint8Array(length);
    file.set(header);
    for (const { address, bytes, at } of places)
      file.set(memory.subarray(address + offset, address + offset + bytes), at);
    return hashed(file);
  });
}

/** The header of a model file, and where each of its tensors comes from and goes. */
interface ModelLayout {
  readonly header: Uint8Array;
  readonly length: number;
  readonly places: readonly { readonly address: number; readonly bytes: number; readonly at: number }[];
}

/** The models of one plan differ in their numbers alone, and may come by the thousand. */
const layouts = new WeakMap<Plan, Map<Which, ModelLayout>>();

function layoutOf(memory: Uint8Array, plan: Plan, which: Which): ModelLayout {
  const known = layouts.get(plan) ?? new Map<Which, ModelLayout>();
  const layout = known.get(which) ?? newLayout(memory, plan, which);
  layouts.set(plan, known.set(which, layout));
  return layout;
}

function newLayout(memory: Uint8Array, plan: Plan, which: Which): ModelLayout {
  const entries = stateEntries(plan);
  const tensors = modelTensors(byName(tensorsAt(memory, entries, 0)), tiedNames(entries), which);
  const file = writeSafetensors(tensors, { format: "pt" });
  const { start, tensors: header } = readHeader(file);
  const places = tensors.map(({ name, bytes }) => {
    const [at] = header[name].data_offsets;
    return { address: bytes.byteOffset - memory.byteOffset, bytes: bytes.length, at: start + at };
  });
  return { header: file.slice(0, start), length: file.length, places };
}

/**
 * The model file, the state_dict alone, of the last or the best weights in a state file. @throws
 * Error if there are none
 */
export function modelFile(state: Uint8Array, which: Which): HashedFile {
  const { tensors, metadata } = readSafetensors(state);
  return hashed(writeSafetensors(modelTensors(tensors, listIn(metadata, "tied"), which), { format: "pt" }));
}

function modelTensors(
  tensors: ReadonlyMap<string, Tensor>,
  tiedNames: readonly (readonly [name: string, parameter: string])[],
  which: Which,
): Tensor[] {
  const names = [...tensors.keys()].filter(isWeight);
  const own = names.map((name): Tensor => {
    const tensor =
      which === "best" ? tensors.get(`best.${name}`) : (tensors.get(`evaluated.${name}`) ?? tensors.get(name));
    if (tensor === undefined) throw new Error(`the state holds no best weights (${name})`);
    return { ...tensor, name };
  });
  const owns = byName(own);
  const tied = tiedNames.map(([name, of]) => ({ ...owns.get(of)!, name }));
  return [...own, ...tied];
}

function byName(tensors: readonly Tensor[]): Map<string, Tensor> {
  return new Map(tensors.map((tensor) => [tensor.name, tensor]));
}
