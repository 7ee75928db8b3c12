/**
 * BullMQ brings jobs to workers, and does nothing else. The record (src/store) is the truth.
 *
 * A delivery is a BullMQ job named `<job id>-<delivery>`. It carries the owner, the job and the
 * turn, and nothing else. It is attempted once and leaves no trace when it is done: the record says
 * whether the job must run again. The reconciler replaces a lost delivery. A double one does no
 * harm, because the lease decides who runs.
 *
 * Owners take turns (store/lua/shared/job.lua). For BullMQ a turn is a priority. The record decides
 * which of an owner's jobs takes the turn (store/lua/acquire.lua).
 */
import { Queue, type JobsOptions, type Telemetry } from "bullmq";
import type { Redis } from "ioredis";
import { crashPoint } from "../crash-point.ts";
import { available } from "../store/database.ts";
import { hashTag, LAST_TURN } from "../store/keys.ts";
import type { Due } from "../store/upkeep.ts";

/** Its keys are `{rappel}:deliveries:…`. The reconciler looks at them too (store/lua/sweep.lua). */
export const queue = { name: "deliveries", prefix: hashTag };

export interface Delivery {
  owner: string;
  job_id: string;
  /** From 1. */
  turn: number;
}

const options: JobsOptions = { attempts: 1, removeOnComplete: true, removeOnFail: true };

/** BullMQ logs what it does in a stream that nobody reads. */
const MAX_EVENTS = 100;

export class Deliveries {
  /** For the dashboard. */
  readonly bull: Queue<Delivery>;

  /** `redis` is shared with the store and is not closed here. */
  constructor(redis: Redis, telemetry?: Telemetry) {
    this.bull = new Queue(queue.name, {
      connection: redis,
      prefix: queue.prefix,
      streams: { events: { maxLen: MAX_EVENTS } },
      telemetry,
    });
    this.bull.on("error", () => undefined);
  }

  /**
   * If it fails, nothing is lost: the job is recorded, and the reconciler delivers it. Within a
   * turn the order is first come, first served.
   */
  async deliver({ owner, id, delivery, turn }: Due): Promise<void> {
    const priority = Math.min(turn, LAST_TURN);
    const named = { ...options, jobId: nameOf(id, delivery), priority };
    await available(() => this.bull.add("train", { owner, job_id: id, turn }, named));
    crashPoint("after-add");
  }

  /**
   * Takes back a delivery that no worker has taken yet. A delivery that stays does no harm: its
   * worker finds nothing to run.
   */
  async withdraw(jobId: string, delivery: number): Promise<void> {
    await available(() => this.bull.remove(nameOf(jobId, delivery)));
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
