/*
 * Controls studies: starts their trials when these may start, and records what came of them.
 *
 * Every process that serves the API has a controller, and one of them has the turn. It needs no
 * memory of its own: what it does next follows from the records, each change of a record takes
 * effect only if the record is what the controller believes (lua/put_trial.lua), and the ids of a
 * trial's jobs are fixed. So another controller goes on where one died, and two at once do no harm.
 *
 * A study is looked at whenever one of its jobs has news. A look at intervals finds what was
 * missed, and what was posted to another process.
 */
import { randomUUID } from "node:crypto";
import { thisProcess } from "../data/pool.ts";
import type { Logger } from "../log.ts";
import { Retry } from "../retries.ts";
import { contextFor } from "./job-creation.ts";
import type { Services } from "./services.ts";
import { StudyRun } from "./study-run.ts";

/** How often the turn is asked for, and how long it lasts. */
const INTERVAL_MS = 2500;
const TURN_MS = 3 * INTERVAL_MS;

export class StudyController {
  readonly #services: Services;
  readonly #log: Logger;
  readonly #token = randomUUID();
  readonly #closing = new AbortController();
  readonly #attempts: Retry;
  /** The studies that this process controls. */
  readonly #runs = new Map<string, Promise<void>>();
  #turn = new AbortController();
  #loop: Promise<void> | null = null;
  #wake = () => {};

  constructor(services: Services, log: Logger) {
    this.#services = services;
    this.#log = log;
    this.#attempts = new Retry("studies", log);
  }

  start(): void {
    this.#loop = this.#control();
  }

  /** There is a new study. */
  wake(): void {
    this.#wake();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#wake();
    await this.#loop;
    this.#attempts.gaveUp();
  }

  async #control(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      await this.#look().then(
        () => this.#attempts.worked(),
        (error: unknown) => this.#attempts.failed(error),
      );
      await this.#pause();
    }
    await this.#stop();
    await this.#services.store.studies.endTurn(this.#token).catch(() => undefined);
  }

  /** Until the next look is due, or something wakes it. */
  async #pause(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    const timer = setTimeout(resolve, INTERVAL_MS);
    await promise;
    clearTimeout(timer);
  }

  async #look(): Promise<void> {
    const { studies } = this.#services.store;
    if (!(await studies.turn(this.#token, TURN_MS))) return await this.#stop();
    for (const [id, owner] of Object.entries(await studies.open())) {
      if (this.#runs.has(id)) continue;
      const run = this.#run(id, owner, this.#turn.signal).finally(() => this.#runs.delete(id));
      this.#runs.set(id, run);
    }
  }

  async #run(id: string, owner: string, signal: AbortSignal): Promise<void> {
    const log = this.#log.child({ study_id: id });
    const resolving = contextFor(this.#services, owner, thisProcess);
    try {
      await new StudyRun({ services: this.#services, request: { owner, log }, resolving, id }).run(signal);
    } catch (error) {
      // The next look begins it again.
      this.#attempts.failed(error);
    }
  }

  /** Leaves all studies to another process. */
  async #stop(): Promise<void> {
    if (this.#runs.size === 0) return;
    this.#turn.abort();
    await Promise.all(this.#runs.values());
    this.#turn = new AbortController();
  }
}
