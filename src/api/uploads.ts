/**
 * Uploads that are under way in this process. An owner may have only so many at once. What has
 * arrived of an upload counts as if it were kept, so that an owner at the limit cannot fill the
 * disk. The record alone decides whether a dataset is kept (put_upload.lua): other processes take
 * uploads too, and bytes that are known already cost nothing.
 */
import { retryLater } from "../contract/errors.ts";
import { OverLimit } from "../store/errors.ts";
import type { Store } from "../store/store.ts";

export const MAX_UPLOADS = 16;
const RETRY_SECONDS = 5;

interface Upload {
  bytes: number;
}

export class Uploads {
  readonly #store: Store;
  readonly #byOwner = new Map<string, Set<Upload>>();

  constructor(store: Store) {
    this.#store = store;
  }

  /**
   * Does `receive` as one of an owner's uploads; it calls `arrived` with all bytes so far, again
   * and again. `declared`: how many there will be, if the client says so.
   * @throws Problem if there are too many, OverLimit if it is beyond what the owner may have
   */
  async during<T>(
    owner: string,
    declared: number,
    receive: (arrived: (bytes: number) => Promise<void>) => Promise<T>,
  ): Promise<T> {
    const others = this.#byOwner.get(owner) ?? new Set();
    if (others.size >= MAX_UPLOADS) {
      throw retryLater(
        "rate_limited",
        `You have ${others.size} uploads under way here, and may have no more. Wait until one has ended.`,
        RETRY_SECONDS,
      );
    }
    const upload: Upload = { bytes: 0 };
    this.#byOwner.set(owner, others.add(upload));
    try {
      const { limit, used } = await this.#store.datasets.room(owner);
      let known: number | null = null;
      const arrived = async (bytes: number) => {
        upload.bytes = Math.max(bytes, declared);
        if (limit === null) return;
        const arriving = [...others].reduce((sum, other) => sum + other.bytes, 0);
        if (used + arriving <= limit) return;
        known ??= await this.#store.datasets.largest(owner);
        if (upload.bytes <= known) return;
        throw new OverLimit("dataset_bytes", limit, used + arriving - upload.bytes, upload.bytes);
      };
      await arrived(0);
      return await receive(arrived);
    } finally {
      others.delete(upload);
      if (others.size === 0) this.#byOwner.delete(owner);
    }
  }
}
