import type { Redis } from "ioredis";
import type { Logger } from "../log.ts";
import type { Control } from "../queue/control.ts";
import type { WakeUps } from "../queue/wake-ups.ts";
import type { Sources } from "../runner/prepare.ts";
import type { RunTraces } from "../runner/trace.ts";

export interface TrainingWorkerOptions extends Sources {
  /** A separate connection that waits for Redis (maxRetriesPerRequest: null). `close` closes it. */
  redis: Redis;
  /** Where the threads of small jobs connect to Redis. */
  redisUrl: string;
  control: Control;
  queue: WakeUps;
  log: Logger;
  leaseMs: number;
  /** How many jobs it runs at once. */
  jobs: number;
  /** How much memory they may take together. A single job may take more. */
  memoryBytes: number;
  /** How many threads train in total. */
  threads: number;
  traces?: RunTraces;
  quietMs?: number;
}

export interface ClosingReason {
  /**
   * Whether an uncaught error ends the process. A job may have caused it. So no job is given back:
   * their leases lapse, which counts as a crash (crash_loop), and such a job does not return for
   * ever.
   */
  readonly broken: boolean;
}
