/*
 * All models of a set that succeeded as one safetensors file, as `torch.func.stack_module_state`
 * stacks them: each tensor has one more dimension in front, the models in their order. The numbers
 * and the keys of the models are in the metadata.
 *
 * A tensor of all models lies in one piece, so several tensors that are small together are
 * collected in one pass over the files of the shards, and a large one is sent in a pass by itself.
 * Memory holds the header, which grows with the number of models, and what is collected.
 */
import { readHeader, type HeaderEntry } from "../engine/state/safetensors.ts";
import { ShardFile, type ModelEntry, type ShardModel } from "./shard-file.ts";

/** Readers of safetensors take no longer headers. */
const MAX_HEADER_BYTES = 100_000_000;

/** The models of a set cannot be stacked. */
export class NotStackable extends Error {}

export interface Stacked {
  readonly bytes: number;
  /** To be read once. @throws DamagedFile */
  readonly chunks: AsyncGenerator<Uint8Array>;
}

/**
 * @param paths the files of all shards, in their order
 * @param mostCollected how many bytes of tensors are collected in a pass
 * @throws NotStackable, DamagedFile
 */
export async function stacked(paths: readonly string[], mostCollected = 2 ** 26): Promise<Stacked> {
  const numbers: number[] = [];
  const keys: object[] = [];
  let first: Layout | null = null;
  for await (const { entry, parts } of succeeded(paths)) {
    const { header } = parts("final")!;
    first ??= { header, tensors: tensorsOf(header) };
    if (header !== first.header) assertEqual(first, tensorsOf(header), entry);
    numbers.push(entry.number);
    keys.push({ ...entry.key, fold: entry.fold, seed: entry.seed });
  }
  if (first === null) throw new NotStackable("No model of the set succeeded.");
  const { tensors } = first;
  const header = headerOf(tensors, numbers.length, {
    format: "pt",
    numbers: JSON.stringify(numbers),
    keys: JSON.stringify(keys),
  });
  const body = tensors.reduce((sum, { bytes }) => sum + bytes, 0) * numbers.length;
  return {
    bytes: header.length + body,
    chunks: chunksOf(paths, header, grouped(tensors, numbers.length, mostCollected), numbers.length),
  };
}

interface Layout {
  readonly header: string;
  readonly tensors: readonly StackedTensor[];
}

/** A tensor of one model. */
interface StackedTensor extends HeaderEntry {
  readonly name: string;
  /** Where it begins among the model's tensors. */
  readonly at: number;
  readonly bytes: number;
}

/** In the order of the file, which is that of the names. */
function tensorsOf(header: string): StackedTensor[] {
  const { tensors } = readHeader(Buffer.from(header, "latin1"));
  return Object.entries(tensors)
    .map(([name, entry]) => {
      const [at, end] = entry.data_offsets;
      return { name, ...entry, at, bytes: end - at };
    })
    .toSorted((a, b) => a.at - b.at);
}

function assertEqual(first: Layout, tensors: readonly StackedTensor[], { number }: ModelEntry): void {
  const names = [...new Set([...first.tensors, ...tensors].map(({ name }) => name))];
  const shapeIn = (list: readonly StackedTensor[], wanted: string) => {
    const found = list.find(({ name }) => name === wanted);
    return found === undefined ? "none" : `[${found.shape.join(", ")}]`;
  };
  for (const name of names) {
    const [one, other] = [shapeIn(first.tensors, name), shapeIn(tensors, name)];
    if (one === other) continue;
    const shapes = `is ${other} in model ${number} and ${one} in the first`;
    throw new NotStackable(`The models do not stack: the tensor ${JSON.stringify(name)} ${shapes}.`);
  }
}

function headerOf(tensors: readonly StackedTensor[], models: number, metadata: Record<string, string>): Buffer {
  const entries = tensors.map(({ name, dtype, shape, at, bytes }) => {
    const begin = at * models;
    const entry = { dtype, shape: [models, ...shape], data_offsets: [begin, begin + bytes * models] };
    return `${JSON.stringify(name)}:${JSON.stringify(entry)}`;
  });
  const text = Buffer.from(`{${[`"__metadata__":${JSON.stringify(metadata)}`, ...entries].join(",")}}`);
  if (text.length > MAX_HEADER_BYTES)
    throw new NotStackable(`The keys of ${models} models make a header of more than ${MAX_HEADER_BYTES} bytes.`);
  const padded = Math.ceil(text.length / 8) * 8;
  const header = Buffer.alloc(8 + padded, 0x20);
  header.writeBigUInt64LE(BigInt(padded));
  header.set(text, 8);
  return header;
}

async function* chunksOf(
  paths: readonly string[],
  header: Buffer,
  groups: readonly Group[],
  models: number,
): AsyncGenerator<Uint8Array> {
  yield header;
  for (const { tensors, bytes, isCollected } of groups) {
    if (isCollected) yield await collected(paths, tensors, Buffer.alloc(bytes), models);
    else yield* each(paths, tensors[0]);
  }
}

interface Group {
  readonly tensors: StackedTensor[];
  /** Of all models. */
  bytes: number;
  readonly isCollected: boolean;
}

/** Tensors that follow each other and are small enough together, or one that is not. */
function grouped(tensors: readonly StackedTensor[], models: number, mostCollected: number): Group[] {
  const groups: Group[] = [];
  for (const tensor of tensors) {
    const bytes = tensor.bytes * models;
    const last = groups.at(-1);
    if (last?.isCollected && last.bytes + bytes <= mostCollected) {
      last.tensors.push(tensor);
      last.bytes += bytes;
    } else groups.push({ tensors: [tensor], bytes, isCollected: bytes <= mostCollected });
  }
  return groups;
}

async function* each(paths: readonly string[], { at, bytes }: StackedTensor): AsyncGenerator<Uint8Array> {
  for await (const { parts } of succeeded(paths)) yield parts("final")!.tensors.subarray(at, at + bytes);
}

async function collected(
  paths: readonly string[],
  group: readonly StackedTensor[],
  into: Buffer,
  models: number,
): Promise<Buffer> {
  let model = 0;
  for await (const { parts } of succeeded(paths)) {
    const { tensors } = parts("final")!;
    for (const { at, bytes } of group)
      into.set(tensors.subarray(at, at + bytes), (at - group[0].at) * models + bytes * model);
    model++;
  }
  return into;
}

async function* succeeded(paths: readonly string[]): AsyncGenerator<ShardModel> {
  for (const path of paths) {
    const file = await ShardFile.open(path);
    try {
      for await (const model of file.models()) if (model.entry.status === "succeeded") yield model;
    } finally {
      await file.close();
    }
  }
}
