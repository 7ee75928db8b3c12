/*
 * The result of a shard: one file with all that is kept of its models.
 *
 *   magic
 *   the models, one after another: an entry (JSON), the numbers of the encoding (doubles), and the
 *     tensors of each file
 *   the index: what models have in common (JSON), and a row for each model
 *   the end: where the index is, its hash, and the magic again
 *
 * What many models have in common is kept once: the forms of encodings (numbers-apart.ts), the
 * layers, and the headers of model files. A row of the index says where a model is, and the SHA-256
 * of its bytes, so one model is read without the others. The hash of a model's file is that of the
 * plain job.
 *
 * The bytes follow from the set and the numbers of the models alone.
 */
import { createHash, hash, type Hash } from "node:crypto";
import { open, type FileHandle } from "node:fs/promises";
import { notesOn, type ModelNotes } from "../contract/model-notes.ts";
import type { Encoding } from "../data/encode/encoding.ts";
import { DamagedFile } from "../data/files/disk.ts";
import type { Key } from "../data/encode/keys.ts";
import type { Which } from "../engine/state/model-files.ts";
import type { HashedFile, Progress, StopReason } from "../engine/state/state.ts";
import { readAt } from "./read-at.ts";
import { Forms, together, type Form } from "./numbers-apart.ts";

export const MODEL_STATUSES = ["succeeded", "failed", "skipped"] as const;
export type ModelStatus = (typeof MODEL_STATUSES)[number];

/** Why a model failed or was skipped. */
export interface ModelError {
  readonly code: string;
  readonly message: string;
  readonly suggestion: string | null;
  readonly step: number | null;
}

/** A model of a set when it has ended. What it does not have is null. */
export interface ModelEntry {
  readonly number: number;
  readonly key: Key;
  readonly fold: number;
  readonly seed: number;
  readonly status: ModelStatus;
  readonly error: ModelError | null;
  /** Rows of its key. */
  readonly rows: number;
  readonly steps: number | null;
  readonly epochs: number | null;
  readonly stop_reason: StopReason | null;
  /** The plain job's `result.metrics`. A number that is not finite is null. */
  readonly metrics: Readonly<Record<string, number | null>>;
  readonly best: Progress["best"];
  readonly weights_sha256: string | null;
}

/** What a model that succeeded is used with. */
export interface KeptModel {
  readonly layers: ModelNotes["layers"];
  readonly encoding: Encoding;
  /** The files by `keptModels`. */
  readonly models: readonly HashedFile[];
}

const MAGIC = Buffer.from("RAPSHRD1");
const END_BYTES = 64;
/**
 * How much is read at a time where all models are. An event loop that reads them has a turn after
 * each block, whose small models take some milliseconds.
 */
const BLOCK_BYTES = 2 ** 19;
/** The offset and the length of a model, and its SHA-256. */
const ROW_BYTES = 48;

/** An entry as it is written, with what is needed to read what follows it. */
interface Stored {
  readonly entry: ModelEntry;
  /** The number of the encoding's form, and how many numbers it has. */
  readonly form?: number;
  readonly numbers?: number;
  readonly layers?: number;
  readonly files?: readonly StoredFile[];
}

interface StoredFile {
  readonly header: number;
  /** Of its tensors. */
  readonly bytes: number;
  readonly sha256: string;
}

/** What the models of a file have in common. */
interface Common {
  readonly from: number;
  readonly forms: readonly Form[];
  readonly layers: readonly ModelNotes["layers"][];
  /** Of safetensors files. */
  readonly headers: readonly string[];
}

/** Values that are kept once. */
class Once<T> {
  readonly all: T[] = [];
  readonly #numbers = new Map<string, number>();

  number(text: string, value: () => T): number {
    const known = this.#numbers.get(text);
    if (known !== undefined) return known;
    this.#numbers.set(text, this.all.length);
    return this.all.push(value()) - 1;
  }
}

/** Writes the file of a shard. The models come in their order. */
export class ShardWriter {
  readonly #file: FileHandle;
  readonly #from: number;
  readonly #hash: Hash = createHash("sha256");
  readonly #forms = new Forms();
  readonly #layers = new Once<ModelNotes["layers"]>();
  readonly #layersOf = new Map<ModelNotes["layers"], number>();
  readonly #headers = new Once<string>();
  readonly #rows: Buffer[] = [];
  #waiting: Uint8Array[] = [];
  #end = 0;

  private constructor(file: FileHandle, from: number) {
    this.#file = file;
    this.#from = from;
    this.#push(MAGIC);
  }

  /** @param from the number of the first model */
  static async create(path: string, from: number): Promise<ShardWriter> {
    return new ShardWriter(await open(path, "wx"), from);
  }

  add(entry: ModelEntry, kept: KeptModel | null): void {
    if (entry.number !== this.#from + this.#rows.length) throw new Error("The models of a shard come in their order.");
    const parts = kept === null ? [Buffer.from(JSON.stringify({ entry }))] : this.#parts(entry, kept);
    const head = Buffer.alloc(4);
    head.writeUInt32LE(parts[0].length);
    const bytes = Buffer.concat([head, ...parts]);
    const row = Buffer.alloc(ROW_BYTES);
    row.writeDoubleLE(this.#end, 0);
    row.writeDoubleLE(bytes.length, 8);
    row.set(hash("sha256", bytes, "buffer"), 16);
    this.#rows.push(row);
    this.#push(bytes);
  }

  #parts(entry: ModelEntry, { layers, encoding, models }: KeptModel): Uint8Array[] {
    const { form, numbers } = this.#forms.take(encoding);
    const tensors: Uint8Array[] = [];
    const files = models.map(({ bytes, sha256 }): StoredFile => {
      const start = headerBytes(bytes);
      const header = Buffer.from(bytes.buffer, bytes.byteOffset, start).toString("latin1");
      tensors.push(bytes.subarray(start));
      return { header: this.#headers.number(header, () => header), bytes: bytes.length - start, sha256 };
    });
    const stored: Stored = { entry, form, numbers: numbers.length, layers: this.#numberOf(layers), files };
    return [Buffer.from(JSON.stringify(stored)), new Uint8Array(Float64Array.from(numbers).buffer), ...tensors];
  }

  #numberOf(layers: ModelNotes["layers"]): number {
    const number = this.#layersOf.get(layers) ?? this.#layers.number(JSON.stringify(layers), () => layers);
    this.#layersOf.set(layers, number);
    return number;
  }

  /** Writes what was added. */
  async flush(): Promise<void> {
    const bytes = Buffer.concat(this.#waiting);
    this.#waiting = [];
    this.#hash.update(bytes);
    await this.#file.writeFile(bytes);
  }

  /** Writes the rest. The file is on the disk afterwards. */
  async end(): Promise<{ sha256: string; bytes: number }> {
    const common: Common = {
      from: this.#from,
      forms: this.#forms.all,
      layers: this.#layers.all,
      headers: this.#headers.all,
    };
    const text = Buffer.from(JSON.stringify(common));
    const index = Buffer.concat([text, ...this.#rows]);
    const end = Buffer.alloc(END_BYTES);
    end.writeDoubleLE(this.#end, 0);
    end.writeDoubleLE(text.length, 8);
    end.writeDoubleLE(this.#rows.length, 16);
    end.set(hash("sha256", index, "buffer"), 24);
    end.set(MAGIC, END_BYTES - MAGIC.length);
    this.#push(index);
    this.#push(end);
    await this.flush();
    await this.#file.sync();
    return { sha256: this.#hash.digest("hex"), bytes: this.#end };
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  #push(bytes: Uint8Array): void {
    this.#waiting.push(bytes);
    this.#end += bytes.length;
  }
}

/** How many bytes of a safetensors file come before its tensors. */
function headerBytes(file: Uint8Array): number {
  return 8 + Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
}

/** A model file: its header, whose bytes are the characters, and the bytes of its tensors. */
export interface ModelParts {
  readonly header: string;
  readonly tensors: Uint8Array;
  readonly sha256: string;
}

/** A model that was read. */
export interface ShardModel {
  readonly entry: ModelEntry;
  /** Null unless it succeeded. */
  notes(): ModelNotes | null;
  /** Its model file; null if it has none. */
  file(which: Which): HashedFile | null;
  /** The same in two parts. */
  parts(which: Which): ModelParts | null;
}

/** The file of a shard, for reading. */
export class ShardFile {
  readonly path: string;
  readonly from: number;
  /** How many models it has. */
  readonly count: number;
  readonly #file: FileHandle;
  readonly #common: Common;
  readonly #rows: Buffer;

  private constructor(path: string, file: FileHandle, common: Common, rows: Buffer) {
    this.path = path;
    this.#file = file;
    this.#common = common;
    this.#rows = rows;
    this.from = common.from;
    this.count = rows.length / ROW_BYTES;
  }

  /** The caller closes it. @throws DamagedFile */
  static async open(path: string): Promise<ShardFile> {
    const handle = await open(path).catch((error: NodeJS.ErrnoException) => {
      throw error.code === "ENOENT" ? new DamagedFile("The file of a shard is missing.", path) : error;
    });
    try {
      return await ShardFile.#read(path, handle);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  static async #read(path: string, handle: FileHandle): Promise<ShardFile> {
    const cutOff = damaged(path, "is cut off");
    const { size } = await handle.stat();
    if (size < END_BYTES) throw cutOff;
    const end = await readAt(handle, { at: size - END_BYTES, bytes: END_BYTES }, cutOff);
    if (!end.subarray(END_BYTES - MAGIC.length).equals(MAGIC)) throw cutOff;
    const [at, text, rows] = [0, 8, 16].map((offset) => end.readDoubleLE(offset));
    const length = text + rows * ROW_BYTES;
    if (at + length !== size - END_BYTES) throw damaged(path, "has a damaged end");
    const index = await readAt(handle, { at, bytes: length }, cutOff);
    if (!hash("sha256", index, "buffer").equals(end.subarray(24, 56))) throw damaged(path, "has a damaged index");
    const common = JSON.parse(index.toString("utf8", 0, text)) as Common;
    return new ShardFile(path, handle, common, index.subarray(text));
  }

  /** The model with this number in the set. @throws DamagedFile */
  async model(number: number): Promise<ShardModel> {
    const { at, end } = this.#placeOf(number);
    return this.#parse(this.#checked(number, await this.#bytes(at, end)));
  }

  /**
   * Models by their numbers in the set, which ascend; default: all. They are read some at a time,
   * with what lies between them.
   * @throws DamagedFile
   */
  async *models(numbers: readonly number[] = this.#numbers()): AsyncGenerator<ShardModel> {
    for (let i = 0; i < numbers.length;) {
      const begin = this.#placeOf(numbers[i]).at;
      let next = i;
      let end = begin;
      do end = this.#placeOf(numbers[next]).end;
      while (++next < numbers.length && this.#placeOf(numbers[next]).end - begin <= BLOCK_BYTES);
      const block = await this.#bytes(begin, end);
      for (; i < next; i++) {
        const place = this.#placeOf(numbers[i]);
        yield this.#parse(this.#checked(numbers[i], block.subarray(place.at - begin, place.end - begin)));
      }
    }
  }

  #numbers(): number[] {
    return Array.from({ length: this.count }, (_, i) => this.from + i);
  }

  async #bytes(at: number, end: number): Promise<Buffer> {
    return await readAt(this.#file, { at, bytes: end - at }, damaged(this.path, "is cut off"));
  }

  #rowOf(number: number): Buffer {
    const i = number - this.from;
    if (i < 0 || i >= this.count) throw new RangeError(`Model ${number} is in another shard.`);
    return this.#rows.subarray(i * ROW_BYTES, (i + 1) * ROW_BYTES);
  }

  #placeOf(number: number): { at: number; end: number } {
    const row = this.#rowOf(number);
    const at = row.readDoubleLE(0);
    return { at, end: at + row.readDoubleLE(8) };
  }

  #checked(number: number, bytes: Buffer): Buffer {
    if (hash("sha256", bytes, "buffer").equals(this.#rowOf(number).subarray(16))) return bytes;
    throw damaged(this.path, `is damaged at model ${number}`);
  }

  #parse(bytes: Buffer): ShardModel {
    const numbersAt = 4 + bytes.readUInt32LE(0);
    const { entry, form, numbers = 0, layers, files = [] } = JSON.parse(bytes.toString("utf8", 4, numbersAt)) as Stored;
    const { forms, layers: known, headers } = this.#common;
    const doubles = new Float64Array(numbers);
    new Uint8Array(doubles.buffer).set(bytes.subarray(numbersAt, numbersAt + 8 * numbers));
    const parts = (which: Which): ModelParts | null => {
      const index = which === "final" ? 0 : 1;
      const stored = files.at(index);
      if (stored === undefined) return null;
      const begin = numbersAt + 8 * numbers + (index === 0 ? 0 : files[0].bytes);
      const tensors = bytes.subarray(begin, begin + stored.bytes);
      return { header: headers[stored.header], tensors, sha256: stored.sha256 };
    };
    return {
      entry,
      parts,
      notes: () => (form === undefined ? null : notesOn(known[layers!], together(forms[form], doubles) as Encoding)),
      file(which) {
        const found = parts(which);
        if (found === null) return null;
        const whole = Buffer.concat([Buffer.from(found.header, "latin1"), found.tensors]);
        return { bytes: new Uint8Array(whole), sha256: found.sha256 };
      },
    };
  }
}

const damaged = (path: string, how: string) => new DamagedFile(`The file of a shard ${how}.`, path);
