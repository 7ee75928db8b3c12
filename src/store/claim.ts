/**
 * How a worker gets jobs (lua/claim.lua, lua/shared/begin.lua).
 *
 * A claim begins one job and, if that one is small, claims others that go after it in the same
 * place of the worker. A place that runs small jobs claims more before it has none left, and begins
 * nothing then. A claimed job is still `queued`: it can be cancelled at once, and its owner's
 * limits do not count it. The script that ends one job begins the next (`Lease.finish`). A claim
 * lapses unless it is renewed, as a lease does. Then its jobs wait again, and no crash is counted.
 */
import { crashPoint } from "../crash-point.ts";
import type { Database } from "./database.ts";
import { FORMAT } from "./format.ts";
import { keys } from "./keys.ts";
import { MAX_CRASHES, placeFields, takenOf, type Claimed, type Place, type Taken, type TakenAnswer } from "./taken.ts";

export interface ClaimOptions extends Place {
  /** A claim that got no answer is asked for again with the same token. */
  token: string;
  /**
   * The worker. While a job waits for one of several workers to be idle, they must be told apart.
   */
  worker: string;
  /** The owner of a job that a process of an earlier version delivered. */
  delivered?: string;
  /** How much estimated work the place still has, if it begins nothing. */
  heldMs?: number;
}

/**
 * `wake`: more waits, and a wake-up must be added to the queue for it. `alone`: a job waits for
 * this worker to be idle. `newer`: the store is of a later version than this process.
 */
export type Claim =
  | { outcome: "taken"; first: Taken; rest: readonly Claimed[]; wake: boolean }
  | { outcome: "held"; rest: readonly Claimed[]; wake: boolean }
  | { outcome: "alone" | "nothing" | "newer"; wake: boolean };

/**
 * `gone`: there is nothing to run, or it is not ours. `held`: the owner may run no more jobs at
 * present; the job waits again. `alone`: only an idle worker may run it.
 */
export type BegunClaimed = { outcome: "taken"; taken: Taken } | { outcome: "gone" | "held" | "alone" };

type Rest = [owner: string, id: string, token: string, memoryBytes: number, workMs: number][];

export async function claim(database: Database, options: ClaimOptions): Promise<Claim> {
  const { token, leaseMs, idle, memoryLeft, arithmeticVersion, worker, delivered = "" } = options;
  type Answer = [Claim["outcome"], number, Rest?, TakenAnswer?];
  const [outcome, wakeUp, claimed, first] = await database.run<Answer>(
    "claim",
    keys.claim(token),
    leaseMs,
    idle ? 1 : 0,
    memoryLeft,
    arithmeticVersion,
    MAX_CRASHES,
    FORMAT,
    worker,
    delivered,
    options.heldMs ?? "",
  );
  const wake = wakeUp === 1;
  if (outcome !== "taken" && outcome !== "held") return { outcome, wake };
  const rest = claimed!.map(claimedFrom);
  crashPoint(outcome === "taken" ? "after-claim" : "after-holding");
  return outcome === "taken" ? { outcome, first: takenOf(first!), rest, wake } : { outcome, rest, wake };
}

function claimedFrom([owner, jobId, token, memoryBytes, workMs]: Rest[number]): Claimed {
  return { owner, jobId, token, memoryBytes, workMs };
}

/** Begins a job that was claimed, or one that nobody holds. */
export async function beginClaimed(
  database: Database,
  { owner, jobId, token }: Pick<Claimed, "owner" | "jobId" | "token">,
  place: Place,
): Promise<BegunClaimed> {
  type Answer = [BegunClaimed["outcome"], TakenAnswer?];
  const [outcome, taken] = await database.run<Answer>(
    "begin_claimed",
    keys.job(owner, jobId),
    token,
    JSON.stringify(placeFields(place)),
  );
  if (outcome !== "taken") return { outcome };
  return { outcome, taken: takenOf(taken!) };
}

/**
 * Gives up claimed jobs: those that have not begun wait again. Returns whether a wake-up must be
 * added to the queue.
 */
export async function giveUp(database: Database, claimed: readonly Claimed[]): Promise<boolean> {
  const jobs = claimed.flatMap((one) => [keys.job(one.owner, one.jobId), one.token]);
  return (await database.run<number>("give_up", jobs[0], ...jobs)) === 1;
}
