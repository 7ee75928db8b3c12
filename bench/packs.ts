import { Worker } from "node:worker_threads";
import { kernelSets, type KernelSet } from "./kernel-sets.ts";
import type { PackTask } from "./pack-thread.ts";
import { finish } from "./report.ts";
import { median } from "./statistics.ts";

/*
 * Models a second that are trained on one thread and on two: MLPs 4-16-3 on 150 rows, 20 epochs of
 * batches of 16 under Adam, each with its own seed, from the drawing of the weights to its state
 * and model files. One by one, and in packs of 16. Beside it, the microseconds of processor time
 * that a model takes: they hardly depend on what else the machine does.
 */

const THREADS = [1, 2];
const ROUNDS = 5;
/** Models that a thread trains in a measurement, and before all of them. */
const MODELS = { alone: 100, packed: 800 };

export async function benchPacks(): Promise<void> {
  const rows: object[] = [];
  for (const kernels of kernelSets())
    for (const way of ["alone", "packed"] as const) {
      const measured = THREADS.map((): Rate[] => []);
      const threads = THREADS.map((count) => Array.from({ length: count }, () => new PackThread(kernels, way)));
      for (const crew of threads) await Promise.all(crew.map((thread) => thread.train()));
      for (let round = 0; round < ROUNDS; round++)
        for (const [i, crew] of threads.entries()) {
          measured[i].push(await measure(crew, crew.length * MODELS[way]));
        }
      await Promise.all(threads.flat().map((thread) => thread.end()));
      const found = measured.map((rates) => ({
        per_second: Math.round(median(rates.map((rate) => rate.perSecond))),
        cpu_us: Math.round(median(rates.map((rate) => rate.cpuUs))),
      }));
      for (const [i, rate] of found.entries()) rows.push({ kernels, way, threads: THREADS[i], ...rate });
    }
  finish("packs", rows);
}

interface Rate {
  readonly perSecond: number;
  readonly cpuUs: number;
}

async function measure(crew: readonly PackThread[], models: number): Promise<Rate> {
  const began = performance.now();
  const before = process.cpuUsage();
  await Promise.all(crew.map((thread) => thread.train()));
  const { user, system } = process.cpuUsage(before);
  return { perSecond: (models * 1000) / (performance.now() - began), cpuUs: (user + system) / models };
}

class PackThread {
  readonly #worker: Worker;

  constructor(kernels: KernelSet, way: keyof typeof MODELS) {
    // `auto`: the choice that users have where native kernels are built.
    const task: PackTask = {
      models: MODELS[way],
      apart: way === "alone",
      kernels: kernels === "native" ? "auto" : kernels,
    };
    this.#worker = new Worker(new URL("pack-thread.ts", import.meta.url), { workerData: task });
  }

  /** Resolves when its models are trained. */
  train(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#worker.once("error", reject);
      this.#worker.once("message", () => {
        this.#worker.off("error", reject);
        resolve();
      });
      this.#worker.postMessage(null);
    });
  }

  end(): Promise<number> {
    return this.#worker.terminate();
  }
}
