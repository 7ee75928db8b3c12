/*
 * Files of weights: what they hold, and the tensors that a job begins with, cut from a file of
 * weights and put under the names of its own model. Both run in helper threads.
 *
 * Weights are float32 here and counts are int64. Halves, bfloat16 and doubles become float32:
 * rounded once, to the nearest.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { size, type Shape } from "../engine/member/shape.ts";
import { readHeader, writeSafetensors, type Tensor } from "../engine/state/safetensors.ts";
import { modelFile, type Which } from "../engine/state/model-files.ts";
import { InvalidDataset } from "./dataset.ts";
import { keptOf, place } from "./tensors/elements.ts";
import { ByteReader } from "./tensors/byte-reader.ts";
import { dtypes, isSafetensors, readEntries } from "./tensors/safetensors.ts";

/** Most tensors of a file. */
const MAX_TENSORS = 4096;
const MAX_NAME_LENGTH = 512;
const MAX_DIMENSIONS = 8;

/** A file of weights, with the names of the wire. */
export interface WeightsContent {
  readonly sha256: string;
  readonly bytes: number;
  readonly tensors: { name: string; dtype: string; shape: number[]; taken_as: TakenAs | null }[];
}

/** The types of a job's tensors. */
type TakenAs = "F32" | "I64";

/** As what the elements of a type are taken; null: not at all. */
export function takenAs(dtype: string): TakenAs | null {
  if (["F32", "F16", "BF16", "F64"].includes(dtype)) return "F32";
  return /^[IU]\d+$/.test(dtype) ? "I64" : null;
}

/** Reads what a file says of its tensors, and checks that their bytes are all there. */
export async function describeWeights({
  path,
}: {
  readonly path: string;
}): Promise<{ readonly content: WeightsContent } | { readonly refused: string }> {
  const hash = createHash("sha256");
  let bytes = 0;
  const chunks = (async function* () {
    for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
      hash.update(chunk);
      bytes += chunk.length;
      yield chunk;
    }
  })();
  const reader = new ByteReader(chunks);
  try {
    if (!isSafetensors(await reader.peek(START_BYTES))) return { refused: NO_SAFETENSORS };
    const entries = await readEntries(reader);
    const refused = refusalOf(entries);
    if (refused !== null) return { refused };
    const wanted = entries.reduce((sum, { begin, end }) => sum + end - begin, 0);
    const there = await skipAll(reader);
    if (there !== wanted) return { refused: `The file has ${there} bytes of tensors, and its header says ${wanted}.` };
    const tensors = entries.map(({ name, dtype, shape }) => ({
      name,
      dtype,
      shape: [...shape],
      taken_as: takenAs(dtype),
    }));
    return { content: { sha256: hash.digest("hex"), bytes, tensors } };
  } catch (error) {
    if (error instanceof InvalidDataset) return { refused: error.message };
    throw error;
  } finally {
    await reader.close();
  }
}

const START_BYTES = 16;
const NO_SAFETENSORS =
  "The file is no safetensors file. Save a state_dict with safetensors.torch.save_file(model.state_dict(), path).";

function refusalOf(tensors: readonly { name: string; shape: Shape }[]): string | null {
  if (tensors.length === 0) return "The file holds no tensor.";
  if (tensors.length > MAX_TENSORS) return `The file holds ${tensors.length} tensors; it may hold ${MAX_TENSORS}.`;
  const long = tensors.find(({ name }) => name.length > MAX_NAME_LENGTH);
  if (long)
    return `The tensor ${JSON.stringify(long.name.slice(0, 50))} … has a name of more than ${MAX_NAME_LENGTH} characters.`;
  const deep = tensors.find(({ shape }) => shape.length > MAX_DIMENSIONS);
  return deep
    ? `The tensor ${JSON.stringify(deep.name)} has ${deep.shape.length} dimensions; it may have ${MAX_DIMENSIONS}.`
    : null;
}

async function skipAll(reader: ByteReader): Promise<number> {
  let bytes = 0;
  for (;;) {
    const { length } = await reader.take(2 ** 18);
    if (length === 0) return bytes;
    bytes += length;
  }
}

/** A tensor of a file, and what the job calls it. */
export interface Wanted {
  readonly theirs: string;
  readonly ours: string;
  readonly dtype: TakenAs;
  readonly shape: Shape;
  /** Tensors there that are the same parameter here, which is tied: they must hold the same. */
  readonly same: readonly string[];
}

/** Uploaded weights, or the weights in another job's state. */
export type WeightsSource =
  | { readonly path: string; readonly sha256: string }
  | { readonly state: Uint8Array; readonly which: Which };

export interface TakeInput {
  readonly from: WeightsSource;
  readonly wanted: readonly Wanted[];
}

/** `damaged`: the file is not what was uploaded. `unfit`: what a tensor has that cannot be used. */
export type Taken =
  | { readonly bytes: Uint8Array<ArrayBuffer>; readonly sha256: string }
  | { readonly damaged: true }
  | { readonly unfit: string };

export async function takeWeights({ from, wanted }: TakeInput): Promise<Taken> {
  const file = "path" in from ? await undamaged(from) : modelFile(from.state, from.which).bytes;
  if (file === null) return { damaged: true };
  const { tensors, start } = readHeader(file);
  const taken: Tensor[] = [];
  const read = (name: string, dtype: TakenAs, shape: Shape) => {
    const { dtype: given, data_offsets } = tensors[name];
    // A copy on a buffer of its own.
    const bytes = new Uint8Array(file.subarray(start + data_offsets[0], start + data_offsets[1]));
    return converted(name, bytes, given, dtype, shape);
  };
  try {
    for (const { theirs, ours, dtype, shape, same } of wanted) {
      const bytes = read(theirs, dtype, shape);
      const other = same.find((name) => Buffer.compare(read(name, dtype, shape), bytes) !== 0);
      if (other !== undefined) return { unfit: tiedFault(theirs, other, ours) };
      taken.push({ name: ours, shape, dtype, bytes });
    }
  } catch (error) {
    if (error instanceof InvalidDataset) return { unfit: error.message };
    throw error;
  }
  const bytes = writeSafetensors(taken, { format: "pt" });
  return { bytes, sha256: hashOf(bytes) };
}

function tiedFault(theirs: string, other: string, ours: string): string {
  return `${theirs} and ${other} hold different numbers, and the model has them as one, ${ours}: leave out tied_to`;
}

async function undamaged({ path, sha256 }: { path: string; sha256: string }): Promise<Uint8Array | null> {
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return null;
    throw error;
  });
  return bytes !== null && hashOf(bytes) === sha256 ? bytes : null;
}

function hashOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

const MEND = "take a state_dict from before the training diverged, or mend it, and upload that";

/** @throws InvalidDataset that names the first element which is not finite */
function converted(
  name: string,
  bytes: Uint8Array<ArrayBuffer>,
  from: string,
  to: Wanted["dtype"],
  shape: Shape,
): Uint8Array {
  const raw = { name, dtype: dtypes[from], shape, isBigEndian: false, isColumnMajor: false, bytes: bytes.buffer };
  if (size(shape) === 0) return bytes;
  const values = keptOf(raw, MEND);
  const kept = to === "I64" ? BigInt64Array.from(values, BigInt) : Float32Array.from(values);
  const wrong = kept instanceof Float32Array ? kept.findIndex((value) => !Number.isFinite(value)) : -1;
  if (wrong >= 0) {
    const what = `holds ${values[wrong]} at ${place(wrong, shape)}, which is too large for float32`;
    throw new InvalidDataset(`The array ${JSON.stringify(name)} ${what}: ${MEND}.`, null);
  }
  return new Uint8Array(kept.buffer, kept.byteOffset, kept.byteLength);
}
