/**
 * The jobs that a place of a worker has claimed and that have not begun, in the order in which they
 * begin. They may come from several claims, each of which is renewed as long as any of its jobs is
 * here.
 */
import type { Claimed } from "../store/taken.ts";

export class HeldJobs {
  #held: { readonly claim: string; readonly job: Claimed }[] = [];
  #passed = 0;
  /** Settles when no more is being claimed. */
  refill: Promise<unknown> = Promise.resolve();
  /** Whether more is being claimed, or there was nothing to claim. */
  refilled = false;

  /** @param claim the token of the claim that brought them */
  add(claim: string, jobs: readonly Claimed[]): void {
    for (const job of jobs) this.#held.push({ claim, job });
  }

  /** `total`: how many have begun or were dropped since the first was added. */
  passed(total: number): void {
    this.#held.splice(0, total - this.#passed);
    this.#passed = total;
  }

  /** Takes out the next one. */
  take(): Claimed | undefined {
    return this.#held.shift()?.job;
  }

  get jobs(): Claimed[] {
    return this.#held.map(({ job }) => job);
  }

  /** The tokens of their claims. */
  get claims(): string[] {
    return [...new Set(this.#held.map(({ claim }) => claim))];
  }

  /** How much training they are, as far as it was estimated. */
  get workMs(): number {
    return this.#held.reduce((sum, { job }) => sum + job.workMs, 0);
  }
}
