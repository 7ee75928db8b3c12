/**
 * One run of a prediction over a dataset. A thread of its own predicts and writes the CSV to a
 * file. The run keeps the file, here or at the API, and only then records that the prediction has
 * succeeded.
 */
import { Worker } from "node:worker_threads";
import type { BatchPrediction, PredictionResult } from "../contract/wire/batch-prediction.ts";
import type { BatchReply, BatchThreadData } from "../predict/batch-thread.ts";
import type { Batch } from "../predict/batch.ts";
import type { OneModel } from "../predict/model.ts";
import { setSource } from "../predict/set.ts";
import { oneModel, type ModelSpec } from "../predict/source.ts";
import { isDamaged } from "../data/files/disk.ts";
import type { Job } from "../contract/wire/job.ts";
import { Damaged } from "../store/errors.ts";
import { pooledModel } from "../store/pooled-model.ts";
import type { Lease } from "../store/lease.ts";
import { atTheBeginning, type ProgressReport } from "../store/record.ts";
import { JobFailure } from "./failures.ts";
import { persist } from "./persist.ts";
import { useTable, type Sources } from "./prepare.ts";
import { useSetFiles } from "./set-files.ts";
import type { RunOptions } from "./options.ts";
import type { RunEnd } from "./running.ts";
import { WholeRun } from "./whole-run.ts";

/** What rows leave behind is collected early. Else memory grows with the number of the rows. */
const YOUNG_MB = 8;

const AGAIN = "Post the job again: it gives the same model.";

function withUnseen(spec: ModelSpec, unseen: BatchPrediction["unseen"]): ModelSpec {
  return { ...spec, data: { ...spec.data, unseen } };
}

/** @throws JobFailure if a model is lost */
async function unlessDamaged<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw error instanceof Damaged ? new JobFailure("model_unavailable", error.message, AGAIN) : error;
  }
}

export class PredictionRun extends WholeRun {
  readonly #options: RunOptions & Sources;
  /** The number of rows that are done; null before the first run of the thread. */
  #done: Int32Array | null = null;

  constructor(lease: Lease, options: RunOptions & Sources) {
    super(lease, options);
    this.#options = options;
  }

  protected async work(): Promise<RunEnd> {
    const { owner, jobId: id } = this.lease;
    const { files, cache, threads, store } = this.#options;
    const prediction = (await persist(this.life, () => store.predictions.get(owner, id)))!;
    const part = files.results.begin(id);
    const count = threads.take(1);
    try {
      const written = this.#withModel(prediction, (model) =>
        useTable(owner, [prediction.dataset].flat(), this.#options, this.life, (table) =>
          this.#inThread({ model, table, csvPath: part.path }),
        ),
      );
      const result = await this.unlessStopped(written);
      this.watch.enter("ending", () => this.activity());
      const keeping = cache === null ? part.keep() : cache.send({ owner, id, path: part.path, sha256: result.sha256 });
      await this.unlessStopped(keeping);
      await this.endings.predicted(result, this.progress());
      this.log.info({ ...result }, "prediction succeeded");
      return "ended";
    } finally {
      threads.giveBack(count);
      await part.discard();
    }
  }

  async #withModel<T>(prediction: BatchPrediction, use: (model: Batch["model"]) => Promise<T>): Promise<T> {
    const { store } = this.#options;
    const { owner } = this.lease;
    const { job_id: id } = prediction;
    const [job, set] = await persist(this.life, () =>
      Promise.all([store.jobs.get(owner, id), store.sets.find(owner, id)]),
    );
    if (job === null) throw new JobFailure("model_unavailable", `The job ${id} is gone.`);
    if (set === null) return await use(await persist(this.life, () => this.#model(prediction, job)));
    return await useSetFiles(set, this.#options, async (pathOf) => {
      const found = setSource(job, set, pathOf);
      const { which, fold, seed, split, unseen } = prediction;
      const spec = withUnseen(found.spec, unseen);
      const source = { ...found, spec };
      const pooled = await persist(this.life, () => unlessDamaged(() => pooledModel(store, owner, id, which)));
      const choice = { which, fold: fold ?? 0, seed: seed ?? 0 };
      try {
        return await use({
          set: source,
          pooled: pooled && oneModel(spec, pooled),
          choice,
          outOfFold: split === "out_of_fold",
        });
      } catch (error) {
        const isLost = [source.index, ...source.shards].some((path) => isDamaged(error, path));
        throw isLost ? new JobFailure("model_unavailable", (error as Error).message, AGAIN) : error;
      }
    });
  }

  async #model({ job_id, which, unseen }: BatchPrediction, { spec }: Job): Promise<OneModel> {
    const { store } = this.#options;
    const { owner } = this.lease;
    const [file, description] = await unlessDamaged(() =>
      Promise.all([store.jobs.model(owner, job_id, which), store.jobs.description(owner, job_id)]),
    );
    if (file === null || description === null)
      throw new JobFailure("model_unavailable", `The model of the job ${job_id} is gone.`);
    return oneModel(withUnseen(spec, unseen), { description, file });
  }

  async #inThread(batch: Batch): Promise<PredictionResult> {
    this.stop.throwIfAborted();
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
    this.stop.addEventListener("abort", stop, { once: true });
    this.watch.enter("training", () => Atomics.load(done, 0));
    this.trace.enter("training");
    const reply = await promise.finally(() => this.stop.removeEventListener("abort", stop));
    if (reply.type === "done") return reply.result;
    if (reply.type === "failed") throw Object.assign(reply.error, { code: reply.code, path: reply.path });
    const suggestion = 'Rows count from 0. Correct them; `"unseen": "zeros"` takes classes that no training row has.';
    throw new JobFailure("invalid_rows", reply.message, suggestion);
  }

  /** Rows count as steps. */
  protected progress(): ProgressReport | null {
    return this.#done && { ...atTheBeginning, step: Atomics.load(this.#done, 0) };
  }
}
