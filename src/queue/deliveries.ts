/**
 * How jobs reach workers: BullMQ, used for nothing but delivery. The record (src/store) is the truth.
 *
 * A delivery is a BullMQ job named `<job id>-<delivery>` that carries the job's id and nothing else. It is attempted once and leaves no trace when it
 * is done: whether to run again is for the record to say. It comes when it is its owner's turn (lua/create.lua), which BullMQ takes for its priority. A lost delivery is found by the reconciler; a double one is harmless,
 * since the lease decides who runs.
 */
import { Queue, type JobsOptions } from "bullmq";
import type { Redis } from "ioredis";
import { crashPoint } from "../crash.ts";
import { available } from "../store/database.ts";
import { hashTag } from "../store/keys.ts";

/** Its keys are `{rappel}:deliveries:…`. */
export const queue = { name: "deliveries", prefix: hashTag };

export interface Delivery {
  job_id: string;
}

const options: JobsOptions = { attempts: 1, removeOnComplete: true, removeOnFail: true };

/** BullMQ takes no higher one. It would take two million turns during which somebody always waits; from then on it is first come, first served. */
const LAST_PRIORITY = 2 ** 21 - 1;

/** BullMQ logs what it does in a stream that nobody here reads. */
const MAX_EVENTS = 100;

export class Deliveries {
  readonly #redis: Redis;
  readonly #queue: Queue<Delivery>;

  /** `redis` is shared with the store, and not closed here. */
  constructor(redis: Redis) {
    this.#redis = redis;
    this.#queue = new Queue(queue.name, {
      connection: redis,
      prefix: queue.prefix,
      streams: { events: { maxLen: MAX_EVENTS } },
    });
    this.#queue.on("error", () => undefined);
  }

  /** If it fails after the job was recorded nothing is lost: the reconciler delivers it. Within a turn, who comes first is served first. */
  async deliver(jobId: string, delivery: number, turn: number): Promise<void> {
    const name = nameOf(jobId, delivery);
    const priority = Math.min(Math.max(turn, 1), LAST_PRIORITY);
    await available(() => this.#queue.add("train", { job_id: jobId }, { ...options, jobId: name, priority }));
    crashPoint("after-add");
  }

  /** Whether BullMQ still has it, be it waiting, delayed or in a worker's hands. */
  async has(jobId: string, delivery: number): Promise<boolean> {
    return (await available(() => this.#redis.exists(this.#queue.toKey(nameOf(jobId, delivery))))) === 1;
  }

  async lengths(): Promise<{ waiting: number; active: number; delayed: number }> {
    const counts = await available(() => this.#queue.getJobCounts("waiting", "prioritized", "active", "delayed"));
    return { waiting: counts.waiting + counts.prioritized, active: counts.active, delayed: counts.delayed };
  }

  async close(): Promise<void> {
    await this.#queue.close();
  }
}

function nameOf(jobId: string, delivery: number): string {
  return `${jobId}-${delivery}`;
}
