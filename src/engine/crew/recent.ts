const KEPT = 4;

/**
 * The values that were used last, by their ids. The main thread and a crew thread that use the same
 * ids in the same order forget the same ones, so the main thread knows what the other one has.
 */
export class Recent<T> {
  readonly #values = new Map<number, T>();

  get(id: number): T | undefined {
    return this.#values.get(id);
  }

  /** Makes it the value that was used last. */
  use(id: number, value: T): void {
    this.#values.delete(id);
    this.#values.set(id, value);
    if (this.#values.size > KEPT) this.#values.delete(this.#values.keys().next().value!);
  }

  clear(): void {
    this.#values.clear();
  }
}

/** Numbers objects in the order in which they come. */
export class Ids {
  readonly #ids = new WeakMap<object, number>();
  #next = 1;

  of(object: object): number {
    const id = this.#ids.get(object) ?? this.#next++;
    this.#ids.set(object, id);
    return id;
  }
}
