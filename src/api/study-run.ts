/** The control of one study (study-controller.ts). */
import { createHash } from "node:crypto";
import { setMaxListeners } from "node:events";
import { canonicalJson } from "../contract/resolve/canonical.ts";
import { parametersOf, studyOf } from "../contract/resolve/study.ts";
import { isFinal } from "../contract/wire/job.ts";
import type { StudyEvent, StudyStatus } from "../contract/wire/study.ts";
import { jobsOf, type StoredTrial, type StudyRecord } from "../store/studies.ts";
import { learn, neededBy, planTrial } from "../studies/plan.ts";
import { bestOf } from "../studies/ranking.ts";
import type { EndedTrial, Study } from "../studies/study.ts";
import { Pace } from "./pace.ts";
import type { Services } from "./services.ts";
import { createJobs, jobsIn, outcomeOf, type TrialContext } from "./study-trial.ts";
import { TrialWatch } from "./trial-watch.ts";

/** How often everything is looked at, news or not. */
const INTERVAL_MS = 2500;
/** How many trials are started at once. They share writes to the disk. */
const AT_ONCE = 16;
/** How many trials are read at once, and from how many a study learns at once. */
const READ_AT_ONCE = 500;
const LEARNED_AT_ONCE = 4;

type Base = Omit<TrialContext, "settings" | "firstJob" | "parameters"> & { readonly services: Pick<Services, "news"> };

/** A trial that has not ended, and its text in the record. */
interface Open {
  readonly trial: StoredTrial;
  readonly text: string;
}

/** Something else changed the record. What is known of it is read again. */
class Stale extends Error {}

export class StudyRun {
  readonly #base: Base;
  readonly #pace = new Pace();
  #context!: TrialContext;
  #record!: StudyRecord;
  #study!: Study;
  /** All trials so far, by number. Of those that have not ended `#open` has the latest. */
  #trials: StoredTrial[] = [];
  readonly #open = new Map<number, Open>();
  #held: string | null = null;
  /** What came of the first trials, up to one that has not ended. */
  #ended: EndedTrial[] = [];

  constructor(base: Base) {
    this.#base = base;
  }

  /** Until the study has ended, or `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    // Each trial that runs listens to it.
    setMaxListeners(0, signal);
    const watch = new TrialWatch(this.#base.services.news, this.#base.id, signal);
    try {
      await this.#load();
      while (!signal.aborted) {
        const over = await this.#advance(watch).catch(async (error: unknown) => {
          if (!(error instanceof Stale)) throw error;
          await this.#load();
          return false;
        });
        if (over) return;
        await watch.wait(INTERVAL_MS);
      }
    } finally {
      watch.close();
    }
  }

  async #load(): Promise<void> {
    const { services, request, id } = this.#base;
    const { studies } = services.store;
    const record = await studies.record(request.owner, id);
    if (record === null) return;
    const { settings } = record;
    const parameters = parametersOf(settings.space, []);
    this.#record = record;
    this.#held = record.held;
    this.#context = { ...this.#base, settings, firstJob: record.firstJob, parameters };
    this.#study = studyOf(settings, parameters, settings.epochs, []);
    this.#trials = [];
    this.#open.clear();
    for (let texts: string[] | null = null; texts === null || texts.length === READ_AT_ONCE;) {
      texts = await studies.stored(request.owner, id, this.#trials.length, READ_AT_ONCE);
      for (const text of texts) {
        await this.#pace.turn();
        this.#know(JSON.parse(text) as StoredTrial, text);
      }
    }
    this.#ended = [];
    this.#count();
    for (let count = 0; count < this.#ended.length; count += LEARNED_AT_ONCE) {
      await this.#pace.turn();
      learn(this.#study, this.#ended.slice(0, count));
    }
  }

  #know(trial: StoredTrial, text: string): void {
    this.#trials[trial.number] = trial;
    if (isEnded(trial)) this.#open.delete(trial.number);
    else this.#open.set(trial.number, { trial, text });
  }

  #count(): void {
    const [trials, ended] = [this.#trials, this.#ended];
    while (ended.length < trials.length && isEnded(trials[ended.length])) ended.push(toEnded(trials[ended.length]));
  }

  /** Does all that can be done now. True if the study has ended. */
  async #advance(watch: TrialWatch): Promise<boolean> {
    const { services, request, id } = this.#base;
    const status = (await services.store.studies.progress(request.owner, id))?.status ?? null;
    if (status === null || !["running", "paused", "cancelling"].includes(status)) return true;
    if (status === "cancelling") await this.#cancelOpen();
    await this.#settle(watch);
    if (status === "cancelling") return this.#open.size === 0 && (await this.#finish());
    if (await this.#timeOut()) return await this.#advance(watch);
    if (status === "running") await this.#startTrials(watch);
    return this.#ended.length === this.#record.settings.trials && (await this.#finish());
  }

  /** Records what came of the trials whose jobs have news. */
  async #settle(watch: TrialWatch): Promise<void> {
    const told = watch.take([...this.#open.keys()]);
    for (const number of told) watch.watch(number, this.#jobs(number));
    const jobs = await jobsIn(
      this.#context,
      told.flatMap((number) => this.#jobs(number)),
    );
    for (const number of told) {
      await this.#pace.turn();
      const { trial } = this.#open.get(number)!;
      const outcome = await outcomeOf(
        this.#context,
        trial,
        this.#jobs(number).map((id) => jobs.get(id) ?? null),
      );
      if (outcome === null) continue;
      await this.#put({ ...trial, ...outcome });
      watch.forget(number);
    }
    this.#count();
  }

  /** Starts the trials that may start now. */
  async #startTrials(watch: TrialWatch): Promise<void> {
    for (let fresh = await this.#plan(); fresh.length > 0; fresh = await this.#plan()) {
      const refusals = await Promise.all(
        fresh.map((trial) => createJobs(this.#context, this.#lineOf(trial), this.#jobs(trial.number))),
      );
      for (const [i, trial] of fresh.entries()) {
        const refusal = refusals[i];
        // A later look plans it again, and finds the jobs that are there.
        if (refusal?.for === "now") return await this.#hold(refusal.why);
        await this.#put(refusal === null ? trial : { ...trial, status: "failed", error: refusal.why });
        if (refusal === null) watch.watch(trial.number, this.#jobs(trial.number));
      }
      this.#count();
    }
    await this.#hold(null);
  }

  /** A trial and those that it goes on from, one after the other. */
  #lineOf(trial: StoredTrial): StoredTrial[] {
    const line = [trial];
    for (let { from } = trial; from !== undefined; { from } = this.#trials[from]) line.push(this.#trials[from]);
    return line;
  }

  /** Tells why the next trial does not start; null: it waits for nothing but other trials. */
  async #hold(why: string | null): Promise<void> {
    // A pause takes the reason away, also one that is over before the next look.
    if (why === null && this.#held === null) return;
    const { services, request, id } = this.#base;
    await services.store.studies.hold(request.owner, id, why);
    this.#held = why;
  }

  /** The next trials, at most so many as are started at once. */
  async #plan(): Promise<StoredTrial[]> {
    const { settings } = this.#record;
    const known = this.#trials.length;
    const all = this.#trials.map(({ values }) => values);
    const fresh: StoredTrial[] = [];
    // Where there is little room, it goes to all jobs of one trial before the next.
    const most = this.#held === null ? AT_ONCE : 1;
    for (let number = known; number < Math.min(settings.trials, known + most); number++) {
      if (neededBy(this.#study, number) > this.#ended.length) break;
      await this.#pace.turn();
      const { values, rungs, from } = planTrial(this.#study, number, this.#ended, all);
      all.push(values);
      const blank = { value: null, rungs: [], weights_sha256: [], error: null };
      fresh.push({
        number,
        status: "running",
        values,
        thresholds: [...rungs],
        ...blank,
        ...(from !== null && { from }),
      });
    }
    return fresh;
  }

  async #put(trial: StoredTrial): Promise<void> {
    const { services, request, id } = this.#base;
    const before = this.#open.get(trial.number)?.text ?? null;
    if (!(await services.store.studies.put(request.owner, id, before, trial))) throw new Stale();
    this.#know(trial, JSON.stringify(trial));
  }

  /** Also cancels jobs whose trial was not recorded before the study was cancelled. */
  async #cancelOpen(): Promise<void> {
    const { services, request } = this.#base;
    const next = Array.from({ length: AT_ONCE }, (_, i) => this.#trials.length + i);
    for (const number of [...this.#open.keys(), ...next]) {
      for (const id of this.#jobs(number)) await services.store.jobs.cancel(request.owner, id);
    }
  }

  /** Begins to end the study if its time is over. */
  async #timeOut(): Promise<boolean> {
    const { settings, begunAt } = this.#record;
    if (settings.timeout === null || Date.now() < begunAt + settings.timeout * 1000) return false;
    const ended = this.#ended.length;
    const message = `After ${settings.timeout} seconds the first ${ended} trials have ended.`;
    const event = { type: "timed_out" as const, message, data: { trials: ended } };
    return await this.#change("cancelling", ["running", "paused"], event, { prefix: ended });
  }

  async #finish(): Promise<boolean> {
    const { services, request, id } = this.#base;
    const record = await services.store.studies.record(request.owner, id);
    if (record === null || isFinal(record.status)) return true;
    // It was given more trials.
    if (record.settings.trials !== this.#record.settings.trials) throw new Stale();
    const trials = this.#trials.slice(0, record.prefix ?? this.#trials.length);
    const best = bestOf(this.#study.direction, trials.map(toEnded));
    const status =
      record.status === "cancelling" && record.prefix === null ? "cancelled" : best === null ? "failed" : "succeeded";
    const found = best === null ? "No trial succeeded." : `Trial ${best} is the best of ${trials.length}.`;
    const fields = {
      trials_sha256: await this.#hashOf(trials),
      best_trial: best ?? "",
      best_value: best === null ? "" : trials[best].value!,
    };
    const event = { type: status, message: found, data: null } as const;
    await this.#change(status, ["running", "paused", "cancelling"], event, fields);
    return true;
  }

  async #change(
    to: StudyStatus,
    from: readonly StudyStatus[],
    event: Pick<StudyEvent, "type" | "message" | "data">,
    fields: Record<string, string | number>,
  ): Promise<boolean> {
    const { services, request, id } = this.#base;
    return (await services.store.studies.change(request.owner, id, { to, from, event, fields }))?.outcome === "changed";
  }

  /** Of what the trials were and what came of them, not of when or where. */
  async #hashOf(trials: readonly StoredTrial[]): Promise<string> {
    const hash = createHash("sha256");
    for (const { error: _, ...trial } of trials) {
      await this.#pace.turn();
      hash.update(`${canonicalJson(trial)}\n`);
    }
    return hash.digest("hex");
  }

  #jobs(number: number): string[] {
    return jobsOf(number, this.#record);
  }
}

function isEnded({ status }: StoredTrial): boolean {
  return status !== "running";
}

function toEnded({ values, status, value, rungs }: StoredTrial): EndedTrial {
  return { values, status: status as EndedTrial["status"], value, rungs };
}
