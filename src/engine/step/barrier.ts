import type { Kernels } from "../kernels/kernels.ts";
import { WORD } from "../crew/control.ts";

/** The crew was aborted: another thread died, or the job was closed. */
export class Aborted extends Error {
  constructor() {
    super("the crew was aborted");
  }
}

const SLEPT = 1;
const ABORTED = 2;

/** After this many meetings in a row that ended asleep, a thread stops spinning … */
const MAX_MEETINGS_ASLEEP = 4;
/** … for this many meetings. */
const MEETINGS_WITHOUT_SPIN = 1000;

/**
 * The barrier of a crew as one thread sees it. Spinning is ten times faster than sleeping if the
 * other threads arrive soon. It does harm if another program has their core. So a thread whose
 * meetings keep ending asleep stops spinning for a while.
 */
export class Barrier {
  readonly #kernels: Kernels;
  readonly #address: number;
  readonly #control: Int32Array;
  readonly #threads: number;
  #slept = 0;
  #meetingsToSleep = 0;

  constructor(kernels: Kernels, control: Int32Array, address: number, threads: number) {
    this.#kernels = kernels;
    this.#control = control;
    this.#address = address;
    this.#threads = threads;
  }

  /** Returns when every thread of the crew has come here. @throws Aborted */
  meet(): void {
    if (this.#threads === 1) {
      if (this.#control[WORD.abort] !== 0) throw new Aborted();
      return;
    }
    const turns = this.#meetingsToSleep > 0 ? 0 : this.#control[WORD.spin];
    const outcome = this.#kernels.barrier(this.#address, this.#threads, turns);
    if (outcome === ABORTED) throw new Aborted();
    if (this.#meetingsToSleep > 0) this.#meetingsToSleep--;
    else if (turns > 0) this.#learn(outcome === SLEPT);
  }

  #learn(slept: boolean): void {
    this.#slept = slept ? this.#slept + 1 : 0;
    if (this.#slept < MAX_MEETINGS_ASLEEP) return;
    this.#slept = 0;
    this.#meetingsToSleep = MEETINGS_WITHOUT_SPIN;
  }
}
