/**
 * BullMQ wakes workers, and does nothing else. The record (src/store) is the truth.
 *
 * A wake-up names no job. A worker that gets one claims jobs from the record as long as there are
 * any (store/lua/claim.lua), and only then completes it. While jobs wait, one wake-up is in the
 * queue or on its way: the scripts that queue jobs, and those that leave some for others, say
 * whether one must be added. So one wake-up leads to the next until all idle workers are awake. The
 * reconciler replaces a lost one. One too many does no harm: its worker finds nothing.
 */
import { Queue, type JobsOptions } from "bullmq";
import type { Redis } from "ioredis";
import { crashPoint } from "../crash-point.ts";
import { available } from "../store/database.ts";
import { hashTag } from "../store/keys.ts";

/**
 * Its keys are `{rappel}:deliveries:…`. Scripts look at the list of waiting wake-ups
 * (store/lua/shared/queue.lua). In earlier versions the queue had a delivery for each job. Such a
 * delivery wakes a worker too.
 */
export const queue = { name: "deliveries", prefix: hashTag };

/** A delivery of an earlier version names the owner of its job. */
export interface WakeUp {
  owner?: string;
}

const options: JobsOptions = { attempts: 1, removeOnComplete: true, removeOnFail: true };

/** BullMQ logs what it does in a stream that nobody reads. */
const MAX_EVENTS = 100;

export class WakeUps {
  /** For the dashboard. */
  readonly bull: Queue<WakeUp>;

  /** `redis` is shared with the store and is not closed here. */
  constructor(redis: Redis) {
    this.bull = new Queue(queue.name, {
      connection: redis,
      prefix: queue.prefix,
      streams: { events: { maxLen: MAX_EVENTS } },
    });
    this.bull.on("error", () => undefined);
  }

  /** If it fails, nothing is lost: the reconciler adds one. */
  async add(): Promise<void> {
    await available(() => this.bull.add("wake-up", {}, options));
    crashPoint("after-add");
  }

  async close(): Promise<void> {
    await this.bull.close();
  }
}
