/**
 * Redis cannot serve us now; the same call may succeed later. Whether it took effect is not known.
 */
export class Unavailable extends Error {
  override readonly name = "Unavailable";
  /** Redis answers, but has reached `maxmemory`. */
  readonly full: boolean;

  constructor(message: string, options: { full?: boolean; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.full = options.full ?? false;
  }
}

/**
 * A later run has taken the job over, or it has ended: whoever gets this may not write any more.
 */
export class LeaseLost extends Error {
  override readonly name = "LeaseLost";
}

/** What is stored is of a later version than this process. */
export class NewerStore extends Error {
  override readonly name = "NewerStore";

  constructor(stored: number, known: number) {
    super(
      `The store in Redis has format ${stored}, and this version of Rappel knows formats up to ${known}: start the version that made it or a later one, or restore a back-up made before the upgrade.`,
    );
  }
}

/** What was uploaded expired before it was committed: it must be uploaded again. */
export class Incomplete extends Error {
  override readonly name = "Incomplete";
}

/** The owner has as much as one may have. */
export class OverLimit extends Error {
  override readonly name = "OverLimit";
  readonly what: LimitedKind;
  readonly limit: number;
  readonly used: number;
  /** What was asked for. */
  readonly more: number;

  constructor(what: LimitedKind, limit: number, used: number, more: number) {
    super(`${what}: ${used} and ${more} more, of ${limit}`);
    this.what = what;
    this.limit = limit;
    this.used = used;
    this.more = more;
  }
}

/** Redis cannot hold so much more (room.ts). */
export class NoRoom extends Error {
  override readonly name = "NoRoom";
  readonly needBytes: number;
  readonly freeBytes: number;
  /** What there is to fill, if nothing is in it. */
  readonly limitBytes: number;

  constructor(needBytes: number, freeBytes: number, limitBytes: number) {
    super(`room for ${needBytes} bytes: ${freeBytes} are free, of ${limitBytes}`);
    this.needBytes = needBytes;
    this.freeBytes = freeBytes;
    this.limitBytes = limitBytes;
  }
}

export type LimitedKind = "waiting" | "dataset_bytes" | "checkpoint_bytes";

/** What was read is not what was written, or is gone though its record says that it is there. */
export class Damaged extends Error {
  override readonly name = "Damaged";

  readonly what: StoredKind;

  constructor(what: StoredKind) {
    super(`The stored ${what} is damaged: bytes of it are missing, or are not those that were written.`);
    this.what = what;
  }
}

export type StoredKind = "checkpoint" | "model";
