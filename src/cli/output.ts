import type { JobStatus } from "../contract/wire/job.ts";

/** The output of a command: `value` is for `--json`, and `text` is for people. */
export interface Output {
  readonly value: unknown;
  readonly text: string;
  /** Written to the standard output instead of the text. */
  readonly bytes?: Uint8Array;
  /** Likewise, as it arrives, unless JSON is asked for. */
  readonly stream?: ReadableStream<Uint8Array>;
  /** Whether something of it was refused, which the command has said already. */
  readonly refused?: boolean;
  /** The status of a job that was watched to its end. */
  readonly ended?: JobStatus;
}
