/**
 * Who may send: a process sends so many messages at once, and whoever's receivers are slow leaves
 * room for the others.
 *
 * An owner gets a further slot while fewer are taken by that owner than are free. So one owner
 * alone gets the most there is for one; of several whose receivers are all slow each gets the same;
 * and a slot stays free for the next who comes, until as many owners as there are slots hold one.
 */
export const SLOTS = 128;
const PER_OWNER = 8;

/**
 * How long a message of an owner without a free slot waits, and how far apart such messages of one
 * owner come.
 */
const WAIT_MS = 500;
const APART_MS = 20;

export class Slots {
  readonly #taken = new Map<string, number>();
  readonly #nextLook = new Map<string, number>();
  #free = SLOTS;

  /** Returns whether the owner got one, to be given back. */
  take(owner: string): boolean {
    const taken = this.#taken.get(owner) ?? 0;
    if (taken >= Math.min(PER_OWNER, this.#free)) return false;
    this.#taken.set(owner, taken + 1);
    this.#free--;
    return true;
  }

  giveBack(owner: string): void {
    const left = this.#taken.get(owner)! - 1;
    if (left === 0) this.#taken.delete(owner);
    else this.#taken.set(owner, left);
    this.#free++;
  }

  /**
   * When a message without a slot is to come again: a thousand that wait must not all come at once.
   */
  nextLook(owner: string, now: number): number {
    const next = Math.max(now + WAIT_MS, (this.#nextLook.get(owner) ?? 0) + APART_MS);
    this.#nextLook.set(owner, next);
    for (const [other, at] of this.#nextLook) if (at < now) this.#nextLook.delete(other);
    return next;
  }
}
