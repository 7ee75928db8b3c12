/** The main thread's side of the ring in which the leader of a crew logs its steps. */
import { CONTROL_BYTES, FIRST_SERIAL, LOG_ENTRIES, logIndex, serialsApart, WORD } from "./control.ts";

export interface LogEntry {
  readonly step: number;
  readonly train_loss: number;
  readonly learning_rate: number;
  readonly grad_norm: number | null;
}

/** Entries that are kept to say why a run diverged. */
const RECENT_ENTRIES = 1000;

export class LogReader {
  #words: Int32Array;
  #ring: Float64Array;
  /** The last entries, in a ring that grows to RECENT_ENTRIES. */
  #recent = new Float64Array(0);
  #taken = 0;

  /** @param log the address of the ring in `memory` */
  constructor(memory: WebAssembly.Memory, words: Int32Array, log: number) {
    this.#words = words;
    this.#ring = new Float64Array(memory.buffer, log, LOG_ENTRIES * 4);
    for (const word of [WORD.logWritten, WORD.logRead]) words[word] = FIRST_SERIAL;
  }

  /** The entries since the last call. After this call the leader may overwrite them. */
  read(): LogEntry[] {
    const entries: LogEntry[] = [];
    this.#each((at) => entries.push(entryAt(this.#ring, at)));
    return entries;
  }

  /** Takes over the entries since the last call for `recent` alone. */
  pass(): void {
    this.#each(() => {});
  }

  get recent(): LogEntry[] {
    const count = Math.min(this.#taken, RECENT_ENTRIES);
    return Array.from({ length: count }, (_, i) =>
      entryAt(this.#recent, ((this.#taken - count + i) % RECENT_ENTRIES) * 4),
    );
  }

  #each(visit: (at: number) => void): void {
    const written = Atomics.load(this.#words, WORD.logWritten);
    const read = this.#words[WORD.logRead];
    const count = serialsApart(written, read);
    for (let i = 0; i < count; i++) {
      const at = logIndex(read + i) * 4;
      visit(at);
      this.#keep(at);
    }
    if (count === 0) return;
    Atomics.store(this.#words, WORD.logRead, written);
    Atomics.notify(this.#words, WORD.logRead);
  }

  #keep(at: number): void {
    const to = (this.#taken % RECENT_ENTRIES) * 4;
    if (to === this.#recent.length && this.#taken < RECENT_ENTRIES) {
      const grown = new Float64Array(Math.min(2 * this.#recent.length || 256, RECENT_ENTRIES * 4));
      grown.set(this.#recent);
      this.#recent = grown;
    }
    for (let i = 0; i < 4; i++) this.#recent[to + i] = this.#ring[at + i];
    this.#taken++;
  }

  /** Drops the reference to the memory, which goes to another job. The recent entries stay. */
  close(): void {
    this.#words = this.#words.slice(0, CONTROL_BYTES / 4);
    this.#ring = new Float64Array(0);
  }
}

function entryAt(ring: Float64Array, at: number): LogEntry {
  const norm = ring[at + 3];
  return {
    step: ring[at],
    train_loss: ring[at + 1],
    learning_rate: ring[at + 2],
    grad_norm: Number.isNaN(norm) ? null : norm,
  };
}
