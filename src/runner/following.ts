/**
 * The job that begins in a lane when another ends. The script that ends a job begins the next. If
 * that ended nothing, or the next one must wait, the lane asks for the one after it.
 *
 * The answer of a script may be lost, and then the job has begun and nobody runs it. So each is
 * asked for with the same token until there is an answer.
 */
import type { Lease } from "../store/lease.ts";
import type { Store } from "../store/store.ts";
import type { Claimed, Place, Taken } from "../store/taken.ts";
import type { Finish } from "./endings.ts";
import { persist, type Life } from "./persist.ts";

export class Following {
  readonly #store: Store;
  readonly #waiting: Claimed[];
  readonly #place: () => Place;
  readonly #life: Life;
  #begun: Taken | null = null;

  /**
   * @param waiting the claimed jobs, to which more may come; what begins is taken out
   * @param place what the lane has for the next job
   * @param life how long it takes jobs
   */
  constructor(store: Store, waiting: Claimed[], place: () => Place, life: Life) {
    this.#store = store;
    this.#waiting = waiting;
    this.#place = place;
    this.#life = life;
  }

  /** Ends the job of the lease, and begins the next. To repeat it is safe. */
  async beginAt(lease: Lease, ...ended: Parameters<Finish>): Promise<void> {
    const [claimed] = this.#waiting;
    const next = claimed !== undefined && !this.#closing ? { claimed, place: this.#place() } : null;
    this.#begun = await lease.finish(...ended, next);
    if (next !== null) this.#waiting.shift();
  }

  /** If the end began nothing, the next job that is still ours begins. */
  async begun(): Promise<Taken | null> {
    while (this.#begun === null && this.#waiting.length > 0) {
      if (this.#closing) {
        // If Redis is away, the claims lapse.
        await this.#store.giveUp(this.#waiting.splice(0)).catch(() => undefined);
        return null;
      }
      const begun = await this.#begin(this.#waiting[0]);
      if (begun === null) continue;
      this.#waiting.shift();
      if (begun.outcome === "taken") this.#begun = begun.taken;
    }
    return this.#begun;
  }

  /** Null: the lane closes. What fails for another reason than that Redis is away lapses. */
  async #begin(claimed: Claimed) {
    try {
      return await persist(this.#life, () => this.#store.begin(claimed, this.#place()));
    } catch (err) {
      if (this.#closing) return null;
      this.#life.log.error({ err, job_id: claimed.jobId }, "a claimed job did not begin");
      return { outcome: "gone" } as const;
    }
  }

  get #closing(): boolean {
    return this.#life.gone.aborted;
  }
}
