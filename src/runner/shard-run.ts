/**
 * One run of a shard of a model set, in a lane. It trains the shard's models into a file, which is
 * kept here or at the API, and only then records that the shard has ended.
 */
import { rm } from "node:fs/promises";
import { setImmediate } from "node:timers/promises";
import { collectBeyond } from "../engine/crew/garbage.ts";
import { chosenKernels } from "../engine/kernels/native.ts";
import { trainShard, type Shard } from "../sets/train-shard.ts";
import { shapeOf } from "../sets/numbering.ts";
import { Damaged } from "../store/errors.ts";
import type { Lease } from "../store/lease.ts";
import type { ProgressReport } from "../store/record.ts";
import type { ShardWork } from "../store/sets.ts";
import type { Finish } from "./endings.ts";
import { JobFailure } from "./failures.ts";
import type { RunOptions } from "./options.ts";
import { persist } from "./persist.ts";
import type { Asking } from "./questions.ts";
import type { RunEnd } from "./running.ts";
import { WholeRun } from "./whole-run.ts";

const LOST = ["The pooled model cannot be read: its bytes are missing or damaged.", "Post the job again."] as const;

/**
 * A lane that has more than this after a shard collects garbage. By itself V8 would let the heap
 * grow with the number of shards, to a multiple of it.
 */
const KEPT_BYTES = 64 * 2 ** 20;

export class ShardRun extends WholeRun {
  readonly #options: RunOptions;
  readonly #main: Asking;
  /** How often the training has let others have a turn. */
  #turns = 0;

  constructor(lease: Lease, options: RunOptions, main: Asking, finish: Finish) {
    super(lease, options, finish);
    this.#options = options;
    this.#main = main;
  }

  protected async work(): Promise<RunEnd> {
    const { owner, jobId: id } = this.lease;
    const { store } = this.#options;
    const work = await persist(this.life, () => store.sets.work(this.lease));
    if (work === null) throw new Error(`The set of ${id} has no record.`);
    const wanted = { datasetIds: work.datasetIds, data: work.spec.data };
    const { table, path } = await this.unlessStopped(this.#main.ask("shard", { owner, wanted, id }));
    try {
      const start = work.spec.init === "pooled" ? await persist(this.life, () => this.#pooled(work.setId)) : null;
      const result = await this.#train(work, table, start, path);
      this.watch.enter("ending", () => this.activity());
      await this.unlessStopped(this.#main.ask("keep", { owner, id, path, sha256: result.sha256 }));
      await this.endings.trained(result);
      return "ended";
    } finally {
      collectBeyond(KEPT_BYTES);
      // It is gone if it was kept.
      await rm(path, { force: true });
    }
  }

  /** The weights with which all models begin. */
  async #pooled(setId: string): Promise<Buffer> {
    const model = await this.#options.store.jobs.model(this.lease.owner, setId, "final").catch((error: unknown) => {
      if (error instanceof Damaged) return null;
      throw error;
    });
    if (model === null) throw new JobFailure("checkpoint_unreadable", ...LOST);
    return model.bytes;
  }

  async #train({ spec, inherited, from, to }: ShardWork, table: Shard["table"], start: Shard["start"], path: string) {
    this.watch.enter("training", () => this.#turns);
    this.trace.enter("training");
    const shape = shapeOf(spec, table.keys);
    return await trainShard({ spec, table, shape, from, to, inherited, start, kernels: chosenKernels() }, path, {
      turn: async () => {
        this.#turns++;
        await setImmediate();
        this.stop.throwIfAborted();
      },
      ended() {},
    });
  }

  /** Its set's progress counts the models of shards that have ended. */
  protected progress(): ProgressReport | null {
    return null;
  }
}
