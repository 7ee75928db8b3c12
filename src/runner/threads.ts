/** The threads that the runs of a process share. A run may get fewer than it asked for, but one at least: its result does not depend on it. */
export class Threads {
  readonly #total: number;
  #lent = 0;

  constructor(total: number) {
    this.#total = total;
  }

  take(wanted: number): number {
    const given = Math.max(1, Math.min(wanted, this.#total - this.#lent));
    this.#lent += given;
    return given;
  }

  giveBack(count: number): void {
    this.#lent -= count;
  }
}
