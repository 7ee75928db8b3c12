/**
 * Decides which owner may send. A process sends a limited number of messages at once, and an owner
 * with slow receivers must leave room for the others.
 *
 * An owner gets another slot while the owner holds fewer slots than are free, up to a limit. So
 * one owner alone reaches the limit. Several owners whose receivers are all slow get the same
 * number each. And a slot stays free for the next owner, until as many owners as there are slots
 * hold one.
 */
export const SLOTS = 128;
const PER_OWNER = 8;

/**
 * How long a message waits that got no slot, and how far apart such messages of one owner come
 * back.
 */
const WAIT_MS = 500;
const APART_MS = 20;

export class Slots {
  readonly #taken = new Map<string, number>();
  readonly #nextLook = new Map<string, number>();
  #free = SLOTS;

  /** Returns whether the owner got a slot, which must be given back. */
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
   * When a message that got no slot should come back. A thousand messages must not come back at
   * once.
   */
  nextLook(owner: string, now: number): number {
    const next = Math.max(now + WAIT_MS, (this.#nextLook.get(owner) ?? 0) + APART_MS);
    this.#nextLook.set(owner, next);
    for (const [other, at] of this.#nextLook) if (at < now) this.#nextLook.delete(other);
    return next;
  }
}
