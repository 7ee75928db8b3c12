// A service trains job after job. This measures the memory of its process after a few jobs and
// after all. Equal jobs must give equal weights, and memory must not grow from the first jobs to
// the last.
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { Client, type SpecInput } from "../src/client/client.ts";
import { Processes } from "./processes.ts";

/** Number of jobs at once. */
const LANES = 4;

export interface Soaked {
  /** Memory and address space of the process. */
  readonly residentMiB: number;
  readonly mappedGiB: number;
}

export interface SoakOptions {
  readonly tiny: number;
  readonly large: number;
  /** Called from time to time with the number of jobs so far. */
  readonly onProgress?: (jobs: number, soaked: Soaked) => void;
}

/**
 * Number of first jobs of each kind. Memory still grows while they run: every thread trains for the
 * first time, and V8 finds the size of its heap.
 */
const WARM_UP = { tiny: 30, large: 3 };

const tiny: Partial<SpecInput> = {
  model: { layers: [{ type: "linear", out_features: 16 }, { type: "relu" }, { type: "linear" }] },
  training: { epochs: 5, batch_size: 32, seed: 1 },
};

/** A job of 60 MB of memory, of which a third is state. */
const large: Partial<SpecInput> = {
  model: {
    layers: [{ type: "linear", out_features: 1500 }, { type: "linear", out_features: 1500 }, { type: "linear" }],
  },
  training: { epochs: 1, batch_size: "full", seed: 1 },
};

/** The memory of the process after the warm-up and at the end. */
export async function soak(
  service: { readonly address: string; readonly pid: number },
  options: SoakOptions,
): Promise<{ warm: Soaked; end: Soaked }> {
  const client = new Client({ url: service.address });
  const csv = await readFile(new URL("../examples/iris.csv", import.meta.url));
  const { id: dataset } = await client.createDataset(csv);
  const weights = new Map<object, string>();
  let jobs = 0;
  const train = async (changes: Partial<SpecInput>) => {
    const spec: SpecInput = {
      data: { dataset, target: "target", validation: { every: 5 } },
      loss: { type: "cross_entropy" },
      optimizer: { type: "adamw", lr: 0.01 },
      ...changes,
    } as SpecInput;
    const { id } = await client.createJob(spec);
    let job = await client.getJob(id);
    for (; !["succeeded", "failed", "cancelled"].includes(job.status); job = await client.getJob(id)) await sleep(20);
    const trained = job.result?.weights_sha256;
    if (trained === undefined) throw new Error(`job ${id} ${job.status}: ${job.error?.message}`);
    if ((weights.get(changes) ?? trained) !== trained) throw new Error(`job ${id} has other weights than its equals`);
    weights.set(changes, trained);
    // This measures the worker's memory, so Redis need not keep all models.
    await client.deleteJob(id);
    if (++jobs % 50 === 0) options.onProgress?.(jobs, await taken(service.pid));
  };
  const run = async (counts: { tiny: number; large: number }) => {
    const all = [...repeated(large, counts.large), ...repeated(tiny, counts.tiny)];
    await Promise.all(
      Array.from({ length: LANES }, async () => {
        for (let next = all.shift(); next !== undefined; next = all.shift()) await train(next);
      }),
    );
  };
  await run(WARM_UP);
  const warm = await taken(service.pid);
  await run({ tiny: options.tiny - WARM_UP.tiny, large: options.large - WARM_UP.large });
  return { warm, end: await taken(service.pid) };
}

function repeated<T>(item: T, count: number): T[] {
  return Array.from({ length: count }, () => item);
}

async function taken(processId: number): Promise<Soaked> {
  const status = await readFile(`/proc/${processId}/status`, "utf8");
  const kilobytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)![1]);
  return { residentMiB: kilobytes("VmRSS") / 2 ** 10, mappedGiB: kilobytes("VmSize") / 2 ** 20 };
}

export async function benchSoak(): Promise<void> {
  await using processes = await Processes.create();
  const service = await processes.start(["src/main.ts"], { RAPPEL_JOBS: "2", RAPPEL_THREADS: "2" });
  const text = ({ residentMiB, mappedGiB }: Soaked) =>
    `${residentMiB.toFixed(0)} MiB, ${mappedGiB.toFixed(0)} GiB mapped`;
  const onProgress = (jobs: number, soaked: Soaked) => console.log(`${jobs} jobs: ${text(soaked)}`);
  const { warm, end } = await soak(service, { tiny: 5000, large: 50, onProgress });
  console.log(`after the warm-up: ${text(warm)}; after 5,000 tiny and 50 large jobs: ${text(end)}`);
  for (let seconds = 10; seconds <= 60; seconds += 10) {
    await sleep(10_000);
    console.log(`${seconds} s later: ${text(await taken(service.pid))}`);
  }
}
