/**
 * How jobs reach workers: BullMQ, used for nothing but delivery. The record (src/store) is the
 * truth.
 *
 * A delivery is a BullMQ job named `<job id>-<delivery>` that carries whose turn it is and nothing
 * else. It is attempted once and leaves no trace when it is done: whether to run again is for the
 * record to say. A lost delivery is found by the reconciler; a double one is harmless, since the
 * lease decides who runs.
 *
 * Owners take turns (lua/shared.lua). BullMQ knows a turn as a priority; which of its jobs an
 * owner's turn goes to is for the record to say (lua/acquire.lua).
 */
import { Queue, type JobsOptions, type Telemetry } from "bullmq";
import type { Redis } from "ioredis";
import { crashPoint } from "../crash.ts";
import { available } from "../store/database.ts";
import { hashTag, LAST_TURN } from "../store/keys.ts";

/** Its keys are `{rappel}:deliveries:…`. */
export const queue = { name: "deliveries", prefix: hashTag };

export interface Delivery {
  owner: string;
  job_id: string;
  /** From 1. */
  turn: number;
}

/** A job that is to be delivered. */
export interface Due {
  owner: string;
  id: string;
  /** How many times it was delivered, with this one. */
  delivery: number;
  turn: number;
}

const options: JobsOptions = { attempts: 1, removeOnComplete: true, removeOnFail: true };

/** BullMQ logs what it does in a stream that nobody here reads. */
const MAX_EVENTS = 100;

export class Deliveries {
  /** For the dashboard. */
  readonly bull: Queue<Delivery>;
  readonly #redis: Redis;

  /** `redis` is shared with the store, and not closed here. */
  constructor(redis: Redis, telemetry?: Telemetry) {
    this.#redis = redis;
    this.bull = new Queue(queue.name, {
      connection: redis,
      prefix: queue.prefix,
      streams: { events: { maxLen: MAX_EVENTS } },
      telemetry,
    });
    this.bull.on("error", () => undefined);
  }

  /**
   * If it fails after the job was recorded nothing is lost: the reconciler delivers it. Within a
   * turn, who comes first is served first.
   */
  async deliver({ owner, id, delivery, turn }: Due): Promise<void> {
    const priority = Math.min(turn, LAST_TURN);
    const named = { ...options, jobId: nameOf(id, delivery), priority };
    await available(() => this.bull.add("train", { owner, job_id: id, turn }, named));
    crashPoint("after-add");
  }

  /**
   * Takes a delivery back that no worker has taken yet. One that stays does no harm: there is
   * nothing to run.
   */
  async withdraw(jobId: string, delivery: number): Promise<void> {
    await available(() => this.bull.remove(nameOf(jobId, delivery)));
  }

  /** Whether BullMQ still has it, be it waiting, delayed or in a worker's hands. */
  async has(jobId: string, delivery: number): Promise<boolean> {
    return (await available(() => this.#redis.exists(this.bull.toKey(nameOf(jobId, delivery))))) === 1;
  }

  async lengths(): Promise<{ waiting: number; active: number; delayed: number }> {
    const counts = await available(() => this.bull.getJobCounts("waiting", "prioritized", "active", "delayed"));
    return { waiting: counts.waiting + counts.prioritized, active: counts.active, delayed: counts.delayed };
  }

  async close(): Promise<void> {
    await this.bull.close();
  }
}

function nameOf(jobId: string, delivery: number): string {
  return `${jobId}-${delivery}`;
}
