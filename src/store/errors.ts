/**
 * Redis cannot serve us now. The same call may succeed later. Nobody knows whether this one took
 * effect.
 */
export class Unavailable extends Error {
  override readonly name: string = "Unavailable";
  /** Whether Redis answers, but has reached `maxmemory`. */
  readonly full: boolean;

  constructor(message: string, options: { full?: boolean; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.full = options.full ?? false;
  }
}

/**
 * The archive, or a file of it, cannot be read from here. What it holds is not lost: the same call
 * works when the archive is back.
 */
export class OutOfReach extends Unavailable {
  constructor(reason: string, options: { cause?: unknown } = {}) {
    super(`The archive of ended jobs is out of reach: ${reason}.`, options);
  }
}

/** A later run has taken the job, or the job has ended. This run may not write any more. */
export class LeaseLost extends Error {
  override readonly name = "LeaseLost";
}

/** The stored data are of a later version than this process. */
export class NewerStore extends Error {
  override readonly name = "NewerStore";

  constructor(stored: number, known: number) {
    super(
      `The store in Redis has format ${stored}, and this version of Rappel knows formats up to ${known}: start the version that made it or a later one, or restore a back-up made before the upgrade.`,
    );
  }
}

/** An upload expired before it was committed. It must be uploaded again. */
export class Incomplete extends Error {
  override readonly name = "Incomplete";
}

/** Redis has lost rows of metrics that it had taken. They must be written again. */
export class RowsLost extends Error {
  override readonly name = "RowsLost";
}

/** The request would exceed a limit of the owner. */
export class OverLimit extends Error {
  override readonly name = "OverLimit";
  readonly what: LimitedKind;
  readonly limit: number;
  readonly used: number;
  /** How much was asked for. */
  readonly more: number;

  constructor(what: LimitedKind, limit: number, used: number, more: number) {
    super(`${what}: ${used} and ${more} more, of ${limit}`);
    this.what = what;
    this.limit = limit;
    this.used = used;
    this.more = more;
  }
}

/** Redis has no room for so many more bytes (room.ts). */
export class NoRoom extends Error {
  override readonly name = "NoRoom";
  readonly needBytes: number;
  readonly freeBytes: number;
  /** How many bytes an empty store could hold. */
  readonly limitBytes: number;

  constructor(needBytes: number, freeBytes: number, limitBytes: number) {
    super(`room for ${needBytes} bytes: ${freeBytes} are free, of ${limitBytes}`);
    this.needBytes = needBytes;
    this.freeBytes = freeBytes;
    this.limitBytes = limitBytes;
  }
}

export type LimitedKind =
  | "waiting"
  | "predictions"
  | "studies"
  | "dataset_bytes"
  | "checkpoint_bytes"
  | "archived_bytes";

/**
 * Stored bytes are not those that were written, or are gone although their record says that they
 * are there.
 */
export class Damaged extends Error {
  override readonly name = "Damaged";

  readonly what: StoredKind;

  constructor(what: StoredKind) {
    super(`The stored ${what} is damaged: bytes of it are missing, or are not those that were written.`);
    this.what = what;
  }
}

/** `record`: what the archive holds of a job besides the other two. */
export type StoredKind = "checkpoint" | "model" | "record";
