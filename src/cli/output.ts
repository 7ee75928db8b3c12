import type { JobStatus } from "../contract/wire/job.ts";

/** What a command gives: what `--json` prints, and `text`, what people read instead. */
export interface Output {
  readonly value: unknown;
  readonly text: string;
  /** The standard output is to have these instead of any text. */
  readonly bytes?: Uint8Array;
  /** The status of a job that was watched to its end. */
  readonly ended?: JobStatus;
}
