import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { kernelSets, type KernelSet } from "./kernel-sets.ts";
import { finish } from "./report.ts";
import { setTable, SET_MODELS, type SetTask } from "./set-table.ts";
import { median } from "./statistics.ts";

/*
 * Models a second of a set of 10,000, on two threads: MLPs 4-16-3 on 150 rows, 20 epochs of batches
 * of 16 under Adam, each of a key of its own. That is all from the rows of a key to its model in
 * the file of a shard. The peak of the process's memory includes the table, 60 MB.
 */

const THREADS = 2;
const ROUNDS = 3;

export async function benchSets(): Promise<void> {
  const rows: object[] = [];
  const table = setTable();
  for (const kernels of kernelSets()) {
    const rates: number[] = [];
    const cpu: number[] = [];
    const next = new Int32Array(new SharedArrayBuffer(4));
    const task: SetTask = { table, next, kernels: choiceOf(kernels) };
    const threads = Array.from({ length: THREADS }, () => new SetThread(task));
    for (let round = 0; round <= ROUNDS; round++) {
      const directory = await mkdtemp(join(tmpdir(), "rappel-bench-"));
      next[0] = 0;
      const before = process.cpuUsage();
      const began = performance.now();
      await Promise.all(threads.map((thread) => thread.train(directory)));
      // In the first round threads start, as those of a service did before.
      if (round > 0) {
        rates.push((SET_MODELS * 1000) / (performance.now() - began));
        const { user, system } = process.cpuUsage(before);
        cpu.push((user + system) / SET_MODELS);
      }
      await rm(directory, { recursive: true });
    }
    await Promise.all(threads.map((thread) => thread.end()));
    const per_second = Math.round(median(rates));
    rows.push({ models: SET_MODELS, kernels, per_second, cpu_us: Math.round(median(cpu)), peak_mb: peakMb() });
  }
  finish("sets", rows);
}

/** `auto`: the choice that users have where native kernels are built. */
const choiceOf = (kernels: KernelSet) => (kernels === "native" ? ("auto" as const) : kernels);

const peakMb = () => Math.round(process.resourceUsage().maxRSS / 1024);

class SetThread {
  readonly #worker: Worker;

  constructor(task: SetTask) {
    this.#worker = new Worker(new URL("set-thread.ts", import.meta.url), { workerData: task });
  }

  /** Resolves when no shard is left. */
  train(directory: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#worker.once("error", reject);
      this.#worker.once("message", () => {
        this.#worker.off("error", reject);
        resolve();
      });
      this.#worker.postMessage(directory);
    });
  }

  end(): Promise<number> {
    return this.#worker.terminate();
  }
}
