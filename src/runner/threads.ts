import { meters } from "../meters.ts";

/**
 * The threads that the runs of a process share. A run may get fewer than it asked for, but at
 * least one. Its result does not depend on the number.
 */
export class Threads {
  readonly total: number;
  #lent = 0;

  constructor(total: number) {
    this.total = total;
  }

  get busy(): number {
    return this.#lent;
  }

  take(wanted: number): number {
    const given = Math.max(1, Math.min(wanted, this.total - this.#lent));
    this.#lent += given;
    meters.threads.set(this.#lent);
    return given;
  }

  giveBack(count: number): void {
    this.#lent -= count;
    meters.threads.set(this.#lent);
  }
}
