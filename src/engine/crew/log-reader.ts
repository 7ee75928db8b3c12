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

/** The last entries of a log, as numbers: mostly nobody asks for them. */
export class RecentLog {
  /** A ring of entries, which grows up to RECENT_ENTRIES. */
  #ring = new Float64Array(0);
  #taken = 0;

  add(step: number, loss: number, rate: number, norm: number): void {
    const at = (this.#taken % RECENT_ENTRIES) * 4;
    if (at === this.#ring.length) {
      const grown = new Float64Array(Math.min(2 * at || 256, RECENT_ENTRIES * 4));
      grown.set(this.#ring);
      this.#ring = grown;
    }
    this.#ring[at] = step;
    this.#ring[at + 1] = loss;
    this.#ring[at + 2] = rate;
    this.#ring[at + 3] = norm;
    this.#taken++;
  }

  get recent(): LogEntry[] {
    const count = Math.min(this.#taken, RECENT_ENTRIES);
    return Array.from({ length: count }, (_, i) => {
      const at = ((this.#taken - count + i) % RECENT_ENTRIES) * 4;
      return entryOf(this.#ring[at], this.#ring[at + 1], this.#ring[at + 2], this.#ring[at + 3]);
    });
  }
}

export class LogReader extends RecentLog {
  #words: Int32Array;
  #ring: Float64Array;

  /** @param log the address of the ring in `memory` */
  constructor(memory: WebAssembly.Memory, words: Int32Array, log: number) {
    super();
    this.#words = words;
    this.#ring = new Float64Array(memory.buffer, log, LOG_ENTRIES * 4);
    for (const word of [WORD.logWritten, WORD.logRead]) words[word] = FIRST_SERIAL;
  }

  /** The entries since the last call. After this call the leader may overwrite them. */
  read(): LogEntry[] {
    const written = Atomics.load(this.#words, WORD.logWritten);
    const entries: LogEntry[] = [];
    const read = this.#words[WORD.logRead];
    for (let i = 0; i < serialsApart(written, read); i++) {
      const at = logIndex(read + i) * 4;
      const [step, loss, rate, norm] = this.#ring.subarray(at, at + 4);
      entries.push(entryOf(step, loss, rate, norm));
      this.add(step, loss, rate, norm);
    }
    if (entries.length === 0) return entries;
    Atomics.store(this.#words, WORD.logRead, written);
    Atomics.notify(this.#words, WORD.logRead);
    return entries;
  }

  /** Drops the reference to the memory, which goes to another job. The recent entries stay. */
  close(): void {
    this.#words = this.#words.slice(0, CONTROL_BYTES / 4);
    this.#ring = new Float64Array(0);
  }
}

export function entryOf(step: number, loss: number, rate: number, norm: number): LogEntry {
  return { step, train_loss: loss, learning_rate: rate, grad_norm: Number.isNaN(norm) ? null : norm };
}
