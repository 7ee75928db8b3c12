/**
 * One run of a prediction over a dataset. A thread of its own predicts and writes the CSV to a
 * file. The run keeps the file, here or at the API, and only then records that the prediction has
 * succeeded.
 *
 * Nothing is kept of a run that ends before that: the next one begins again, and writes the same
 * bytes. So a run need not stop at any particular row, and none of them disturbs another.
 */
import { Worker } from "node:worker_threads";
import { DatasetUnreachable } from "../data/files/cache.ts";
import { isShortage } from "../engine/crew/shortage.ts";
import type { Logger } from "../log.ts";
import { meters } from "../meters.ts";
import type { BatchPrediction, PredictionResult } from "../contract/wire/batch-prediction.ts";
import type { JobStatus } from "../contract/wire/job.ts";
import type { BatchReply, BatchThreadData } from "../predict/batch-thread.ts";
import type { Batch } from "../predict/batch.ts";
import { sourceOf } from "../predict/source.ts";
import { Damaged, LeaseLost } from "../store/errors.ts";
import type { Lease } from "../store/lease.ts";
import { atTheBeginning, type ProgressReport } from "../store/record.ts";
import { Endings } from "./endings.ts";
import { JobFailure, NO_MEMORY, unexpected } from "./failures.ts";
import { Heartbeat } from "./heartbeat.ts";
import { persist, type Life } from "./persist.ts";
import { useTable, type Sources } from "./prepare.ts";
import { Reporter } from "./reporter.ts";
import type { RunOptions } from "./options.ts";
import type { RunEnd, Running } from "./running.ts";
import { StageWatch } from "./standstill.ts";
import type { RunTrace } from "./trace.ts";

/** What rows leave behind is collected early. Else memory grows with the number of the rows. */
const YOUNG_MB = 8;

/** The run was asked to stop. */
class Stopped extends Error {
  readonly wanted: "shutdown" | "cancel";

  constructor(wanted: Stopped["wanted"]) {
    super(wanted);
    this.wanted = wanted;
  }
}

export class PredictionRun implements Running {
  readonly lease: Lease;
  readonly trace: RunTrace;
  readonly #options: RunOptions & Sources;
  readonly #log: Logger;
  /** Aborts when the run may write no more. */
  readonly #gone = new AbortController();
  /** Aborts when it must not predict any more. */
  readonly #stop = new AbortController();
  readonly #stopped = Promise.withResolvers<never>();
  readonly #life: Life;
  readonly #reporter: Reporter;
  readonly #endings: Endings;
  readonly #heartbeat: Heartbeat;
  readonly #watch: StageWatch;
  /** The number of rows that are done; null before the first run of the thread. */
  #done: Int32Array | null = null;
  #away = false;

  constructor(lease: Lease, options: RunOptions & Sources) {
    this.lease = lease;
    this.trace = options.trace(lease);
    this.#options = options;
    this.#log = options.log.child({ job_id: lease.jobId, run: lease.run });
    this.#life = { gone: this.#gone.signal, log: this.#log };
    this.#stopped.promise.catch(() => undefined);
    const activity = () => lease.answered + (options.cache?.received ?? 0);
    this.#watch = new StageWatch("preparing", activity, () => this.#away);
    this.#reporter = new Reporter(
      lease,
      () => this.#progress(),
      this.#log,
      (error) => this.#interrupt(error),
    );
    this.#endings = new Endings(lease, this.#reporter, this.#life, () => this.#heartbeat.lastWriteBegins());
    this.#heartbeat = new Heartbeat(
      lease,
      options.leaseMs,
      () => this.#blame(),
      {
        status: (status) => this.onStatus(status),
        // It needs Redis only at its end, and waits for it then.
        away: () => (this.#away = true),
        back: () => (this.#away = false),
        lost: (silenced) => {
          if (silenced) lease.retractCrash().catch(() => undefined);
          this.abandon(new LeaseLost("the lease lapsed and the prediction was taken over"));
        },
        broken: (error) => this.#interrupt(error),
      },
      this.#log,
    );
  }

  async execute(): Promise<RunEnd> {
    // Learns what was asked since the job was taken.
    this.checkStatus();
    try {
      return await this.#predict().catch((error: unknown) => this.#ended(error));
    } catch (error) {
      const { aborted, reason } = this.#gone.signal;
      const lost = (aborted ? reason : error) instanceof LeaseLost;
      if (!aborted && !lost) throw error;
      if (lost) meters.leaseLosses.inc();
      this.#log.warn({ reason: (error as Error).message }, "run dropped");
      return "lost";
    } finally {
      this.#heartbeat.close();
      this.#reporter.stop();
      this.#watch.close();
      this.abandon(new LeaseLost("the run has ended"));
    }
  }

  shutdown(): void {
    this.#interrupt(new Stopped("shutdown"));
    // Tells the record that a death from now on is no crash.
    this.checkStatus();
  }

  onStatus(status: JobStatus): void {
    if (status === "cancelling") this.#interrupt(new Stopped("cancel"));
  }

  checkStatus(): void {
    this.#heartbeat.renewNow();
  }

  assertMoving(): void {
    const still = this.#watch.still(this.lease.jobId);
    if (still !== null) throw new Error(still);
  }

  abandon(reason: Error): void {
    this.#gone.abort(reason);
    this.#interrupt(reason);
  }

  async drop(): Promise<void> {
    this.abandon(new Error("the process ends"));
    const message = "The worker had to shut down; another one begins again.";
    await this.lease.release({ type: "requeued", message, step: null, data: null });
  }

  #interrupt(reason: unknown): void {
    this.#stop.abort(reason);
    this.#stopped.reject(reason);
  }

  async #predict(): Promise<RunEnd> {
    const { owner, jobId: id } = this.lease;
    const { files, cache, threads, store } = this.#options;
    const prediction = (await persist(this.#life, () => store.predictions.get(owner, id)))!;
    const model = await persist(this.#life, () => this.#model(prediction));
    const part = files.results.begin(id);
    const count = threads.take(1);
    try {
      const written = useTable(owner, [prediction.dataset].flat(), this.#options, this.#life, (table) =>
        this.#inThread({ ...model, table, csvPath: part.path }),
      );
      written.catch(() => undefined);
      const result = await Promise.race([written, this.#stopped.promise]);
      this.#watch.enter("ending", () => this.lease.answered + (cache?.received ?? 0));
      const keeping = cache === null ? part.keep() : cache.send({ owner, id, path: part.path, sha256: result.sha256 });
      keeping.catch(() => undefined);
      await Promise.race([keeping, this.#stopped.promise]);
      await this.#endings.predicted(result, this.#progress());
      this.#log.info({ ...result }, "prediction succeeded");
      return "ended";
    } finally {
      threads.giveBack(count);
      await part.discard();
    }
  }

  async #model({ job_id, which, unseen }: BatchPrediction): Promise<Pick<Batch, "source" | "file">> {
    const { store } = this.#options;
    const { owner } = this.lease;
    try {
      const [job, file, description] = await Promise.all([
        store.jobs.get(owner, job_id),
        store.jobs.model(owner, job_id, which),
        store.jobs.description(owner, job_id),
      ]);
      if (job === null || file === null || description === null)
        throw new JobFailure("model_unavailable", `The job ${job_id} or its model is gone.`);
      return { source: { ...sourceOf(job.spec, description, file.sha256), unseen }, file: file.bytes };
    } catch (error) {
      if (!(error instanceof Damaged)) throw error;
      throw new JobFailure("model_unavailable", error.message, "Post the job again: it gives the same model.");
    }
  }

  async #inThread(batch: Batch): Promise<PredictionResult> {
    this.#stop.signal.throwIfAborted();
    const done = new Int32Array(new SharedArrayBuffer(4));
    this.#done = done;
    const workerData: BatchThreadData = { ...batch, done };
    const url = new URL("../predict/batch-thread.ts", import.meta.url);
    const thread = new Worker(url, { workerData, resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB } });
    const { promise, resolve, reject } = Promise.withResolvers<BatchReply>();
    thread.on("message", resolve);
    const failed = (message: string) => reject(new JobFailure("thread_failed", message));
    thread.on("error", ({ message }: Error) => failed(`The thread that predicts failed: ${message}`));
    thread.on("exit", () => failed("The thread that predicts ended."));
    const stop = () => void thread.terminate();
    this.#stop.signal.addEventListener("abort", stop, { once: true });
    this.#watch.enter("training", () => Atomics.load(done, 0));
    this.trace.enter("training");
    const reply = await promise.finally(() => this.#stop.signal.removeEventListener("abort", stop));
    if (reply.type === "done") return reply.result;
    if (reply.type === "failed") throw Object.assign(reply.error, { code: reply.code, path: reply.path });
    const suggestion = 'Rows count from 0. Correct them; `"unseen": "zeros"` takes classes that no training row has.';
    throw new JobFailure("invalid_rows", reply.message, suggestion);
  }

  /** @throws LeaseLost, and the error if it is ours */
  async #ended(error: unknown): Promise<RunEnd> {
    if (this.#gone.signal.aborted || error instanceof LeaseLost) throw error;
    this.trace.enter("ending");
    const progress = this.#progress();
    if (error instanceof Stopped && error.wanted === "cancel") {
      await this.#endings.cancelled(progress);
      this.#log.info("prediction cancelled");
      return "ended";
    }
    if (error instanceof Stopped) return await this.#released("The worker is shutting down; another one begins again.");
    if (error instanceof DatasetUnreachable) return await this.#released(error.message, true);
    if (isShortage(error)) return await this.#released(NO_MEMORY, true);
    const failure = error instanceof JobFailure ? error : unexpected(error);
    this.trace.failed(failure.code, failure.message);
    if (failure === error) this.#log.warn({ code: failure.code, reason: failure.message }, "prediction failed");
    else this.#log.error({ err: error }, "prediction failed");
    await this.#endings.failed(failure, progress);
    return "ended";
  }

  async #released(message: string, yields = false): Promise<RunEnd> {
    this.#log.warn({ reason: message }, "prediction given back");
    const status = await this.#endings.released(message, null, yields);
    if (status !== "queued") return "ended";
    return yields ? "postponed" : "released";
  }

  #blame() {
    const { reason } = this.#stop.signal;
    if (reason instanceof Stopped && reason.wanted === "shutdown") return "none";
    return this.#options.alone() ? "own" : "shared";
  }

  /** Rows count as steps. */
  #progress(): ProgressReport | null {
    return this.#done && { ...atTheBeginning, step: Atomics.load(this.#done, 0) };
  }
}
