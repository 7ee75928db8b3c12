/*
 * The index of a set: one file by which its models are listed, filtered and sorted without the
 * files of the shards.
 *
 *   magic
 *   blocks of BLOCK_MODELS models: each column of a block lies in one piece
 *   the directory (JSON): where each piece is, and its SHA-256
 *   the end: where the directory is, its hash, and the magic again
 *
 * The columns are the status, what models are sorted by (numbers, NaN where a model has none), and
 * the entries as JSON with where each ends. To sort a million models by a metric, one column of 8
 * MB is read. The bytes do not depend on how the set was cut into shards.
 */
import { hash } from "node:crypto";
import { open, type FileHandle } from "node:fs/promises";
import { DamagedFile } from "../data/files/disk.ts";
import { readAt } from "./read-at.ts";
import { MODEL_STATUSES, type ModelEntry, type ModelStatus } from "./shard-file.ts";

const MAGIC = Buffer.from("RAPSETI1");
const END_BYTES = 64;
const BLOCK_MODELS = 16_384;

interface Piece {
  readonly at: number;
  readonly bytes: number;
  readonly sha256: string;
}

interface Block {
  /** By the name of the column: `status`, `ends`, `entries`, `rows`, `steps`, `metric.<name>`. */
  readonly pieces: Readonly<Record<string, Piece>>;
}

interface Directory {
  /** Of the longest key as JSON. */
  readonly keyBytes: number;
  readonly counts: Readonly<Record<ModelStatus, number>>;
  readonly metrics: readonly string[];
  readonly blocks: readonly Block[];
}

/** What models are sorted by. */
export const metricColumn = (name: string): string => `metric.${name}`;

/** A column of numbers of the block that is being filled. */
const newColumn = () => new Float64Array(BLOCK_MODELS).fill(Number.NaN);

/**
 * Writes the index. The models come in their order. A model is put into its columns at once: as an
 * object, with all others of its block, it would take ten times as much memory.
 */
export class IndexWriter {
  readonly #file: FileHandle;
  readonly #counts = { succeeded: 0, failed: 0, skipped: 0 };
  readonly #blocks: Block[] = [];
  readonly #statuses = new Uint8Array(BLOCK_MODELS);
  readonly #ends = newColumn();
  readonly #rows = newColumn();
  readonly #steps = newColumn();
  readonly #metrics = new Map<string, Float64Array>();
  #texts = Buffer.alloc(BLOCK_MODELS * 256);
  #textsEnd = 0;
  /** How many models the block has. */
  #count = 0;
  #keyBytes = 0;
  #end = 0;

  private constructor(file: FileHandle) {
    this.#file = file;
  }

  static async create(path: string): Promise<IndexWriter> {
    const writer = new IndexWriter(await open(path, "wx"));
    await writer.#write(MAGIC);
    return writer;
  }

  async add(entry: ModelEntry): Promise<void> {
    const at = this.#count++;
    this.#counts[entry.status]++;
    this.#statuses[at] = MODEL_STATUSES.indexOf(entry.status);
    this.#addText(JSON.stringify(entry));
    this.#keyBytes = Math.max(this.#keyBytes, Buffer.byteLength(JSON.stringify(entry.key)));
    this.#ends[at] = this.#textsEnd;
    this.#rows[at] = entry.rows;
    this.#steps[at] = entry.steps ?? Number.NaN;
    for (const [name, value] of Object.entries(entry.metrics)) {
      if (!this.#metrics.has(name)) this.#metrics.set(name, newColumn());
      this.#metrics.get(name)![at] = value ?? Number.NaN;
    }
    if (this.#count === BLOCK_MODELS) await this.#writeBlock();
  }

  #addText(text: string): void {
    // A character of a string takes three bytes at most.
    const most = this.#textsEnd + 3 * text.length;
    if (most > this.#texts.length) {
      const larger = Buffer.alloc(Math.max(most, 2 * this.#texts.length));
      larger.set(this.#texts);
      this.#texts = larger;
    }
    this.#textsEnd += this.#texts.write(text, this.#textsEnd);
  }

  async end(): Promise<void> {
    if (this.#count > 0) await this.#writeBlock();
    const metrics = [...this.#metrics.keys()].toSorted();
    const directory: Directory = { counts: this.#counts, metrics, blocks: this.#blocks, keyBytes: this.#keyBytes };
    const text = Buffer.from(JSON.stringify(directory));
    const end = Buffer.alloc(END_BYTES);
    end.writeDoubleLE(this.#end, 0);
    end.writeDoubleLE(text.length, 8);
    end.set(hash("sha256", text, "buffer"), 16);
    end.set(MAGIC, END_BYTES - MAGIC.length);
    await this.#write(text);
    await this.#write(end);
    await this.#file.sync();
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  async #writeBlock(): Promise<void> {
    const count = this.#count;
    const columns: Record<string, Uint8Array> = {
      status: this.#statuses.subarray(0, count),
      ends: bytesOf(this.#ends, count),
      entries: this.#texts.subarray(0, this.#textsEnd),
      rows: bytesOf(this.#rows, count),
      steps: bytesOf(this.#steps, count),
    };
    for (const [name, values] of this.#metrics) columns[metricColumn(name)] = bytesOf(values, count);
    const pieces: Record<string, Piece> = {};
    for (const [name, bytes] of Object.entries(columns)) {
      pieces[name] = { at: this.#end, bytes: bytes.length, sha256: hash("sha256", bytes, "hex") };
      await this.#write(bytes);
    }
    this.#blocks.push({ pieces });
    for (const values of this.#metrics.values()) values.fill(Number.NaN);
    this.#count = 0;
    this.#textsEnd = 0;
  }

  async #write(bytes: Uint8Array): Promise<void> {
    await this.#file.writeFile(bytes);
    this.#end += bytes.length;
  }
}

/** The first few numbers of a column. */
function bytesOf(numbers: Float64Array, count: number): Uint8Array {
  return new Uint8Array(numbers.buffer, 0, 8 * count);
}

/** Which models are listed, and in which order. */
export interface Listing {
  readonly limit: number;
  /** The number of the last model of the page before; null: the first page. */
  readonly after: number | null;
  readonly status: ModelStatus | null;
  /**
   * Null: by number. Models with equal values are in the order of their numbers, and those without
   * a value come last.
   */
  readonly sort: { readonly by: string; readonly descending: boolean } | null;
}

export interface Listed {
  readonly entries: readonly ModelEntry[];
  readonly hasMore: boolean;
}

export class SetIndex {
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #directory: Directory;

  private constructor(path: string, file: FileHandle, directory: Directory) {
    this.#path = path;
    this.#file = file;
    this.#directory = directory;
  }

  /** The caller closes it. @throws DamagedFile */
  static async open(path: string): Promise<SetIndex> {
    const file = await open(path).catch((error: NodeJS.ErrnoException) => {
      throw error.code === "ENOENT" ? new DamagedFile("The index of a set is missing.", path) : error;
    });
    try {
      const cutOff = damaged(path, "is cut off");
      const { size } = await file.stat();
      if (size < END_BYTES) throw cutOff;
      const end = await readAt(file, { at: size - END_BYTES, bytes: END_BYTES }, cutOff);
      if (!end.subarray(END_BYTES - MAGIC.length).equals(MAGIC)) throw cutOff;
      const place = { at: end.readDoubleLE(0), bytes: end.readDoubleLE(8) };
      if (place.at + place.bytes !== size - END_BYTES) throw damaged(path, "has a damaged end");
      const text = await readAt(file, place, cutOff);
      if (!hash("sha256", text, "buffer").equals(end.subarray(16, 48))) throw damaged(path, "has a damaged directory");
      return new SetIndex(path, file, JSON.parse(text.toString()) as Directory);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  get counts(): Directory["counts"] {
    return this.#directory.counts;
  }

  get keyBytes(): number {
    return this.#directory.keyBytes;
  }

  /** The names of the metrics that models have. */
  get metrics(): readonly string[] {
    return this.#directory.metrics;
  }

  get models(): number {
    const { succeeded, failed, skipped } = this.counts;
    return succeeded + failed + skipped;
  }

  /** A column of numbers for all models. @throws DamagedFile */
  async numbers(column: string): Promise<Float64Array> {
    const numbers = new Float64Array(this.models);
    for (const [i, { pieces }] of this.#directory.blocks.entries()) {
      const block = numbers.subarray(i * BLOCK_MODELS, (i + 1) * BLOCK_MODELS);
      // No model of an earlier block may have had the metric.
      if (pieces[column] === undefined) block.fill(Number.NaN);
      else new Uint8Array(block.buffer, block.byteOffset, block.byteLength).set(await this.#read(pieces[column]));
    }
    return numbers;
  }

  /** @throws DamagedFile */
  async list({ limit, after, status, sort }: Listing): Promise<Listed> {
    const code = status === null ? null : MODEL_STATUSES.indexOf(status);
    const statuses = code === null ? null : await this.#statuses();
    const values = sort === null ? null : await this.numbers(sort.by);
    const before = comparison(values, sort?.descending ?? false);
    const best = new Best(limit + 1, before);
    for (let number = 0; number < this.models; number++) {
      if (statuses !== null && statuses[number] !== code) continue;
      if (after === null || before(after, number)) best.add(number);
    }
    const numbers = best.ascending();
    return { entries: await this.entries(numbers.slice(0, limit)), hasMore: numbers.length > limit };
  }

  /** The entries of these models. @throws DamagedFile */
  async entries(numbers: readonly number[]): Promise<ModelEntry[]> {
    const entries = new Map<number, ModelEntry>();
    const blocks = Map.groupBy(numbers, (number) => Math.floor(number / BLOCK_MODELS));
    for (const [block, wanted] of blocks) {
      const { pieces } = this.#directory.blocks[block];
      const ends = await this.#read(pieces.ends);
      const texts = await this.#read(pieces.entries);
      for (const number of wanted) {
        const at = number % BLOCK_MODELS;
        const begin = at === 0 ? 0 : ends.readDoubleLE((at - 1) * 8);
        entries.set(number, JSON.parse(texts.toString("utf8", begin, ends.readDoubleLE(at * 8))) as ModelEntry);
      }
    }
    return numbers.map((number) => entries.get(number)!);
  }

  /** The keys of the set in their order, each of which has so many models. @throws DamagedFile */
  async *keys(models: number): AsyncGenerator<ModelEntry["key"]> {
    for (let number = 0; number < this.models; number += BLOCK_MODELS) {
      const firsts = Array.from({ length: Math.min(BLOCK_MODELS, this.models - number) }, (_, i) => number + i);
      const entries = await this.entries(firsts.filter((each) => each % models === 0));
      for (const { key } of entries) yield key;
    }
  }

  async #statuses(): Promise<Uint8Array> {
    const statuses = new Uint8Array(this.models);
    for (const [i, { pieces }] of this.#directory.blocks.entries())
      statuses.set(await this.#read(pieces.status), i * BLOCK_MODELS);
    return statuses;
  }

  async #read(piece: Piece): Promise<Buffer> {
    const bytes = await readAt(this.#file, piece, damaged(this.#path, "is cut off"));
    if (hash("sha256", bytes, "hex") !== piece.sha256) throw damaged(this.#path, `is damaged at byte ${piece.at}`);
    return bytes;
  }
}

type Before = (a: number, b: number) => boolean;

/** Whether one model comes before another. */
function comparison(values: Float64Array | null, descending: boolean): Before {
  if (values === null) return (a, b) => a < b;
  return (a, b) => {
    const [one, other] = [values[a], values[b]];
    if (one === other || (Number.isNaN(one) && Number.isNaN(other))) return a < b;
    if (Number.isNaN(one) || Number.isNaN(other)) return Number.isNaN(other);
    return descending ? one > other : one < other;
  };
}

/** The first few of many: a heap whose top is the last of them. */
class Best {
  readonly #most: number;
  readonly #before: Before;
  readonly #heap: number[] = [];

  constructor(most: number, before: Before) {
    this.#most = most;
    this.#before = before;
  }

  add(number: number): void {
    const heap = this.#heap;
    if (heap.length < this.#most) {
      heap.push(number);
      this.#rise(heap.length - 1);
    } else if (this.#before(number, heap[0])) {
      heap[0] = number;
      this.#sink(0);
    }
  }

  ascending(): number[] {
    return this.#heap.toSorted((a, b) => (this.#before(a, b) ? -1 : 1));
  }

  #rise(at: number): void {
    const above = (at - 1) >> 1;
    if (at === 0 || !this.#before(this.#heap[above], this.#heap[at])) return;
    this.#swap(at, above);
    this.#rise(above);
  }

  #sink(at: number): void {
    let last = at;
    for (const below of [2 * at + 1, 2 * at + 2])
      if (below < this.#heap.length && this.#before(this.#heap[last], this.#heap[below])) last = below;
    if (last === at) return;
    this.#swap(at, last);
    this.#sink(last);
  }

  #swap(a: number, b: number): void {
    const heap = this.#heap;
    [heap[a], heap[b]] = [heap[b], heap[a]];
  }
}

const damaged = (path: string, how: string) => new DamagedFile(`The index of a set ${how}.`, path);
