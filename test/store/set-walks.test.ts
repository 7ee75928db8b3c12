// Sets of models under everything that may happen to them, in any order: runs end, die, come back
// and are told to stop; sets are paused, resumed, cancelled, concluded, deleted and found damaged.
import { expect, test } from "vitest";
import { OPEN_SHARDS } from "../../src/store/room-numbers.ts";
import { keys } from "../../src/store/keys.ts";
import type { JobResult } from "../../src/contract/wire/job.ts";
import type { Lease } from "../../src/store/lease.ts";
import { noise } from "../sets/support.ts";
import { lapse, newJob, OWNER, postJob, tryClaim } from "./support.ts";
import { redis, setUpStore, store, usage } from "./setup.ts";

setUpStore();

const result = { weights_sha256: "0".repeat(64), steps: 1, epochs: 1, metrics: {} } as unknown as JobResult;
const counts = { succeeded: 8, failed: 1, skipped: 1 };
const isOver = (status: string) => ["succeeded", "failed", "cancelled"].includes(status);

class Walk {
  readonly #next: () => number;
  readonly #leases: Lease[] = [];
  /** Runs whose leases have lapsed. */
  readonly #dead: Lease[] = [];
  readonly #deaths = new Map<string, number>();
  /** How often each shard ended, and was given back. */
  readonly ends = new Map<string, number>();
  readonly #givenBack = new Map<string, number>();
  sets: { id: string; shards: number }[] = [];

  constructor(seed: number) {
    const random = noise(seed);
    this.#next = () => (random() + 1) / 2;
  }

  #below(count: number): number {
    return Math.floor(this.#next() * count);
  }

  async post(): Promise<void> {
    const shards = 1 + this.#below(this.#next() < 0.2 ? 2 * OPEN_SHARDS : 6);
    const set = { models: 10 * shards, shardModels: 10, pooled: null, workMs: 400, memoryBytes: 2 ** 20 };
    const { spec } = newJob();
    const job = newJob({
      totalSteps: set.models,
      set,
      spec: { ...spec, resources: { ...spec.resources, priority: this.#below(3) } },
    });
    await store.jobs.create(job);
    this.sets.push({ id: job.id, shards });
  }

  async #status(id: string): Promise<string> {
    return (await store.jobs.get(OWNER, id))!.status;
  }

  async claim(): Promise<boolean> {
    const claimed = await tryClaim(store);
    if (claimed.outcome === "taken") this.#leases.push(store.lease(claimed.first.hold));
    return claimed.outcome === "taken";
  }

  /** A run does what its record wants of it. */
  async endRun(): Promise<void> {
    const [lease] = this.#leases.splice(this.#below(this.#leases.length), 1);
    if (lease === undefined) return;
    const wanted = await lease.renew(5000);
    if (wanted === "cancelling") {
      await lease.finish({ status: "cancelled", progress: null, events: [] }, []);
    } else if (wanted === "pausing" || this.#next() < 0.1) {
      await lease.release({ type: "requeued", message: "", step: null, data: null });
    } else {
      const { jobId } = lease;
      const of = jobId.includes(".") ? { ...counts, bytes: 1000, metrics: {} } : result;
      await lease.finish({ status: "succeeded", result: of, progress: null, events: [] }, []);
      this.ends.set(jobId, (this.ends.get(jobId) ?? 0) + 1);
    }
  }

  async die(): Promise<void> {
    const lease = this.#leases.pop();
    if (lease === undefined) return;
    // Five deaths would fail the job.
    const deaths = (this.#deaths.get(lease.jobId) ?? 0) + 1;
    if (deaths > 3) return void this.#leases.push(lease);
    this.#deaths.set(lease.jobId, deaths);
    await lapse(redis, lease.jobId);
    this.#dead.push(lease);
  }

  /** Its record may not be taken yet: then it still may write. */
  async comeBack(): Promise<void> {
    const [lease] = this.#dead.splice(this.#below(this.#dead.length), 1);
    if (lease === undefined) return;
    const renewed = await lease.renew(5000).catch(() => null);
    if (renewed !== null) this.#leases.push(lease);
  }

  async disturb(): Promise<void> {
    const set = this.sets[this.#below(this.sets.length)];
    if (set === undefined) return;
    const what = this.#below(4);
    if (what === 0) await store.jobs.pause(OWNER, set.id);
    if (what === 1) await store.jobs.resume(OWNER, set.id);
    if (what === 2 && this.#next() < 0.2) await store.jobs.cancel(OWNER, set.id);
    if (what === 3 && isOver(await this.#status(set.id))) await this.#remove(set);
  }

  async #remove(set: { id: string; shards: number }): Promise<void> {
    await this.#check(set);
    expect((await store.jobs.remove(OWNER, set.id))!.outcome).toBe("removed");
    this.sets = this.sets.filter((one) => one !== set);
  }

  async conclude(): Promise<void> {
    for (const set of await store.sets.concluding(10)) {
      if (this.#next() < 0.3) {
        const number = this.#below(Math.ceil(set.models / set.shardModels));
        const shard = `${set.id}.${number}`;
        const times = this.#givenBack.get(shard) ?? 0;
        // At the fifth time the set would fail.
        if (times === 3) continue;
        const isOpen = (await this.#status(set.id)) === "running";
        await store.sets.giveBack(set, number, 10);
        if (isOpen) this.#givenBack.set(shard, times + 1);
      } else await store.sets.conclude(set, result, counts, 700);
    }
  }

  async step(): Promise<void> {
    const steps = [
      () => this.claim(),
      () => this.claim(),
      () => this.endRun(),
      () => this.endRun(),
      () => this.die(),
      () => this.comeBack(),
      () => store.upkeep.sweep(),
      () => this.disturb(),
      () => this.conclude(),
      async () => void (this.#next() < 0.1 && (await postJob(store, { workMs: 1000 }))),
      async () => void (this.#next() < 0.2 && (await this.post())),
    ];
    await steps[this.#below(steps.length)]();
  }

  /** Lets all end that has not been cancelled. */
  async endAll(): Promise<void> {
    this.#dead.length = 0;
    for (let moved = true; moved;) {
      await store.upkeep.sweep();
      for (const { id } of this.sets) await store.jobs.resume(OWNER, id);
      while (await this.claim());
      moved = this.#leases.length > 0 || (await store.sets.concluding(1)).length > 0;
      while (this.#leases.length > 0) await this.endRun();
      await this.conclude();
    }
    for (const set of this.sets) expect(await this.#status(set.id)).toSatisfy(isOver);
    for (const set of this.sets) await this.#remove(set);
  }

  /** Of a set that succeeded each shard ended once, and once more each time it was given back. */
  async #check({ id, shards }: { id: string; shards: number }): Promise<void> {
    const { status, error } = (await store.jobs.get(OWNER, id))!;
    expect([status, error]).not.toContain("failed");
    if (status !== "succeeded") return;
    for (let number = 0; number < shards; number++) {
      const shard = `${id}.${number}`;
      expect([shard, this.ends.get(shard)]).toEqual([shard, 1 + (this.#givenBack.get(shard) ?? 0)]);
    }
  }
}

test.each(Array.from({ length: 12 }, (_, seed) => seed))(
  "whatever happens to sets, each shard ends once, and nothing is left (%i)",
  async (seed) => {
    const walk = new Walk(seed);
    const running = seed % 2 === 0 ? 1 + (seed % 3) : null;
    await store.limitOwners({
      waiting: null,
      running,
      dataset_bytes: null,
      checkpoint_bytes: null,
      archived_bytes: null,
    });
    for (let set = 0; set < 3; set++) await walk.post();
    for (let step = 0; step < 500; step++) await walk.step();
    await walk.endAll();
    expect(walk.ends.size).toBeGreaterThan(20);
    for (const list of [keys.due, keys.waiting, keys.concluding, "{rappel}:begun"])
      expect([list, await redis.zcard(list)]).toEqual([list, 0]);
    expect(await redis.hlen(keys.open)).toBe(0);
    expect(await redis.hlen(keys.results)).toBe(0);
    expect(await usage()).not.toHaveProperty("dataset_bytes");
    const statuses = await redis.hgetall(keys.statuses);
    expect(Object.keys(statuses).filter((status) => !isOver(status))).toEqual([]);
    const shards = (await redis.keys("*:job:*")).filter((key) => /:(job_\w+\.\d+|shards|todo|damaged)/.test(key));
    expect(shards).toEqual([]);
  },
);
