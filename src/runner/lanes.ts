/**
 * The lanes of a process that run nothing now. To start one takes some 100 ms, so they are kept for
 * the next small jobs. Each takes some 20 MB and keeps memories of its last jobs, so they are ended
 * after a while, and at once if there is no memory for a job.
 */
import { dropKept } from "../engine/crew/memories.ts";
import { IDLE_MS } from "../engine/crew/pool.ts";
import type { Lane } from "./lane.ts";
import type { Sources } from "./prepare.ts";
import { SetTables } from "./set-tables.ts";

export class IdleLanes {
  readonly #start: (tables: SetTables) => Lane;
  readonly #tables: SetTables;
  /** The one that has been idle for the longest time comes first. */
  #idle: { readonly lane: Lane; readonly since: number }[] = [];
  #timer: NodeJS.Timeout | null = null;

  /** @param start starts a lane; all lanes share the tables */
  constructor(sources: Sources, start: (tables: SetTables) => Lane) {
    this.#start = start;
    this.#tables = new SetTables(sources);
  }

  /** An idle lane, or a new one. */
  take(): Lane {
    return this.#idle.pop()?.lane ?? this.#start(this.#tables);
  }

  /** Takes back a lane whose jobs have ended. */
  giveBack(lane: Lane): void {
    this.#idle.push({ lane, since: performance.now() });
    this.#timer ??= setInterval(() => void this.endIdle(performance.now() - IDLE_MS), IDLE_MS / 4).unref();
  }

  /**
   * Gives up what is kept for later jobs. Else a job for which there is no memory would meet the
   * same shortage again and again.
   */
  async giveUpMemory(): Promise<void> {
    dropKept();
    this.#tables.drop();
    await this.endIdle();
  }

  /** Ends the lanes that have been idle since then. Default: all. */
  async endIdle(since = Infinity): Promise<void> {
    const ended = this.#idle.filter((each) => each.since <= since);
    this.#idle = this.#idle.filter((each) => each.since > since);
    if (this.#idle.length === 0 && this.#timer !== null) {
      clearInterval(this.#timer);
      this.#timer = null;
    }
    await Promise.all(ended.map(({ lane }) => lane.close(new Error("the lane has nothing to do"))));
  }
}
