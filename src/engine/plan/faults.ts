export interface PlanFault {
  /** RFC 6901, into the spec. */
  readonly pointer: string;
  readonly message: string;
}

/** All faults of a model at once. */
export class PlanError extends Error {
  readonly faults: readonly PlanFault[];
  constructor(faults: readonly PlanFault[]) {
    super(faults.map((fault) => `${fault.pointer}: ${fault.message}`).join("; "));
    this.faults = faults;
  }
}
