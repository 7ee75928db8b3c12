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

/** How many characters of a list are put together before they become bytes. */
const PIECE_LENGTH = 2 ** 16;

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
  const [numbers, keys] = [new ListText(), new ListText()];
  let first: Layout | null = null;
  for await (const { entry, parts } of succeeded(paths)) {
    const { header } = parts("final")!;
    first ??= { header, tensors: tensorsOf(header) };
    if (header !== first.header) assertEqual(first, tensorsOf(header), entry);
    numbers.add(entry.number);
    keys.add({ ...entry.key, fold: entry.fold, seed: entry.seed });
  }
  if (first === null) throw new NotStackable("No model of the set succeeded.");
  const { tensors } = first;
  const header = headerOf(tensors, numbers, keys);
  const body = tensors.reduce((sum, { bytes }) => sum + bytes, 0) * numbers.count;
  return {
    bytes: header.length + body,
    chunks: chunksOf(paths, header, grouped(tensors, numbers.count, mostCollected), numbers.count),
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

/**
 * A list as JSON in a string of JSON. It is written piece by piece: a million keys at once would
 * hold the event loop.
 */
class ListText {
  readonly #pieces: Buffer[] = [];
  #piece = "";
  count = 0;

  add(value: unknown): void {
    const text = JSON.stringify(JSON.stringify(value)).slice(1, -1);
    this.#piece += this.count++ === 0 ? text : `,${text}`;
    if (this.#piece.length >= PIECE_LENGTH) this.#end();
  }

  bytes(): Buffer[] {
    this.#end();
    return [Buffer.from('"['), ...this.#pieces, Buffer.from(']"')];
  }

  #end(): void {
    this.#pieces.push(Buffer.from(this.#piece));
    this.#piece = "";
  }
}

function headerOf(tensors: readonly StackedTensor[], numbers: ListText, keys: ListText): Buffer {
  const models = numbers.count;
  const entries = tensors.map(({ name, dtype, shape, at, bytes }) => {
    const begin = at * models;
    const entry = { dtype, shape: [models, ...shape], data_offsets: [begin, begin + bytes * models] };
    return `,${JSON.stringify(name)}:${JSON.stringify(entry)}`;
  });
  const text = (plain: string) => Buffer.from(plain);
  const metadata = [text('"format":"pt","numbers":'), ...numbers.bytes(), text(',"keys":'), ...keys.bytes()];
  const parts = [text('{"__metadata__":{'), ...metadata, text(`}${entries.join("")}}`)];
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  if (length > MAX_HEADER_BYTES)
    throw new NotStackable(`The keys of ${models} models make a header of more than ${MAX_HEADER_BYTES} bytes.`);
  const padded = Math.ceil(length / 8) * 8;
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(padded));
  return Buffer.concat([size, ...parts, Buffer.alloc(padded - length, 0x20)]);
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
