/**
 * The kernels that read tables, on a memory of their own. A thread keeps one of these for its next
 * table, since each memory takes gigabytes of addresses until it is collected.
 */
import { readFileSync } from "node:fs";
import type { KernelExports } from "./exports.generated.ts";
import { MAX_EXACT_POWER, powersOfTen } from "./powers.ts";

const PAGE_BYTES = 65536;
/** Kernels read up to so many bytes after a text. */
export const SLACK_BYTES = 16;

/** Tables of words have so many bytes together. */
const MAX_TABLE_BYTES = 2 ** 26;

/** What a word for a missing cell is to missing.kernel.as.ts. */
export const missingKinds = { always: 0, besideValues: 1 } as const;

/** A memory that is not shared, and grows. */
interface Memory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

let compiled: WebAssembly.Module | null = null;

/** Compiled once in each thread that reads tables. */
function compiledKernels(): WebAssembly.Module {
  compiled ??= new WebAssembly.Module(readFileSync(new URL("./kernels.wasm", import.meta.url)));
  return compiled;
}

/** A memory that has become larger is not kept. */
const MAX_KEPT_BYTES = 2 ** 23;

let kept: ReaderKernels | null = null;

/** Whoever reads a table has the kernels for itself meanwhile. */
export async function withKernels<T>(use: (kernels: ReaderKernels) => Promise<T>): Promise<T> {
  const kernels = kept ?? new ReaderKernels();
  kept = null;
  try {
    return await use(kernels);
  } finally {
    if (kernels.buffer.byteLength <= MAX_KEPT_BYTES) {
      kernels.clear();
      kept = kernels;
    }
  }
}

export class ReaderKernels {
  readonly run: KernelExports;
  readonly #memory: Memory;
  /** The first page belongs to the module itself. */
  #used = PAGE_BYTES;
  #bytes: Buffer<ArrayBuffer>;
  #tableBytes = 0;
  readonly #own: number;

  constructor() {
    const exports = new WebAssembly.Instance(compiledKernels(), {}).exports as KernelExports & { memory: Memory };
    this.run = exports;
    this.#memory = exports.memory;
    this.#bytes = Buffer.from(this.#memory.buffer);
    const { doubles, pairs } = powersOfTen();
    const doublesAt = this.allocate(doubles.byteLength);
    const pairsAt = this.allocate(pairs.byteLength);
    new Float64Array(this.#memory.buffer, doublesAt, MAX_EXACT_POWER + 1).set(doubles);
    new BigUint64Array(this.#memory.buffer, pairsAt, pairs.length).set(pairs);
    this.run.decimal_tables(doublesAt, pairsAt);
    this.#own = this.#used;
  }

  /** Forgets what was allocated. */
  clear(): void {
    this.#used = this.#own;
    this.#tableBytes = 0;
  }

  /** The address of memory that nobody else uses, a multiple of 16. */
  allocate(bytes: number): number {
    const address = this.#used;
    this.#used += Math.ceil(bytes / 16) * 16;
    const missing = this.#used - this.#memory.buffer.byteLength;
    if (missing > 0) this.#memory.grow(Math.ceil(missing / PAGE_BYTES));
    return address;
  }

  /** Memory for a table of words, or null if such tables have enough already. */
  allocateTable(bytes: number): number | null {
    if (this.#tableBytes + bytes > MAX_TABLE_BYTES) return null;
    this.#tableBytes += bytes;
    return this.allocate(bytes);
  }

  /** The whole memory. It is another buffer after `allocate`. */
  get bytes(): Buffer<ArrayBuffer> {
    if (this.#bytes.buffer !== this.#memory.buffer) this.#bytes = Buffer.from(this.#memory.buffer);
    return this.#bytes;
  }

  get buffer(): ArrayBuffer {
    return this.#memory.buffer;
  }
}
