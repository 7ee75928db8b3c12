/** Redis cannot serve us now; the same call may succeed later. Whether it took effect is not known. */
export class Unavailable extends Error {
  override readonly name = "Unavailable";
  /** Redis answers, but has reached `maxmemory`. */
  readonly full: boolean;

  constructor(message: string, options: { full?: boolean; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.full = options.full ?? false;
  }
}

/** A later run has taken the job over, or it has ended: whoever gets this may not write any more. */
export class LeaseLost extends Error {
  override readonly name = "LeaseLost";
}
