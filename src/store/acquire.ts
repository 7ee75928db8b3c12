/** How a run gets its job (lua/acquire.lua). */
import { randomUUID } from "node:crypto";
import { crashPoint } from "../crash-point.ts";
import type { Database } from "./database.ts";
import { FORMAT } from "./format.ts";
import { keys } from "./keys.ts";
import { Lease } from "./lease.ts";

/** If so many runs die in a row at the same checkpoint, the job is taken to be the cause. */
const MAX_CRASHES = 5;

export interface AcquireOptions {
  leaseMs: number;
  /** Whether the worker runs nothing else. */
  idle: boolean;
  arithmeticVersion: number;
  /** How much memory the worker's other jobs leave. An idle worker takes a job of any size. */
  memoryLeft: number;
  /**
   * If given, it is this owner's turn, and a more urgent or older job of the owner may be taken
   * instead.
   */
  turnOf?: { owner: string; turn: number };
}

/**
 * `taken`: the lease is ours; `waitedMs` is how long the job waited in the queue, or null if its
 * last run died. `busy`: another run holds it; try again after `waitMs`. `alone`: only an idle
 * worker may take it, because its last run died or it takes too much memory. `done`: there is
 * nothing to run. `newer`: the store is of a later version than this process.
 */
export type Acquired =
  | { outcome: "taken"; lease: Lease; alone: boolean; waitedMs: number | null; memoryBytes: number }
  | { outcome: "busy"; waitMs: number }
  | { outcome: "alone" | "done" | "newer" };

export async function acquire(database: Database, jobId: string, options: AcquireOptions): Promise<Acquired> {
  const owner = options.turnOf?.owner ?? (await database.use((redis) => redis.hget(keys.open, jobId)));
  if (owner === null) return { outcome: "done" };
  const token = randomUUID();
  type Answer = [Acquired["outcome"] | "instead", number | string, number, number, number | null];
  const [outcome, detail, alone, memoryBytes, waitedMs] = await database.run<Answer>(
    "acquire",
    keys.job(owner, jobId),
    token,
    options.leaseMs,
    options.idle ? 1 : 0,
    options.arithmeticVersion,
    MAX_CRASHES,
    options.turnOf?.turn ?? 0,
    FORMAT,
    options.memoryLeft,
  );
  if (outcome === "instead") return await acquire(database, String(detail), options);
  if (outcome === "busy") return { outcome, waitMs: Number(detail) };
  if (outcome !== "taken") return { outcome };
  crashPoint("after-acquire");
  const lease = new Lease(database, owner, jobId, Number(detail), token);
  return { outcome, lease, alone: alone === 1, waitedMs, memoryBytes };
}
