// A service trains job after job, and its processes are measured from time to time. Equal jobs must
// give equal weights. What is counted (memories, threads) and what is measured must not grow once
// the first jobs are over.
import { readdir, readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { Client, type SpecInput } from "../src/client/client.ts";
import { Processes } from "./processes.ts";
import { finish } from "./report.ts";

/** Number of jobs at once. */
const LANES = 8;
/** V8 reserves this much for each memory, and more behind it. No other mapping is as large. */
const RESERVED_KILOBYTES = 6 * 2 ** 20;

export interface Soaked {
  readonly jobs: number;
  /** The service's share of physical memory (PSS), in MiB. */
  readonly pss: number;
  /** What of that is no file: its heaps and buffers. */
  readonly anonymous: number;
  readonly threads: number;
  /** WebAssembly memories. */
  readonly memories: number;
  readonly descriptors: number;
  /** The PSS of its Redis. */
  readonly redis: number;
}

export interface SoakOptions {
  readonly tiny: number;
  readonly large?: number;
  /** Whether ended jobs stay in Redis. Default: they are deleted. */
  readonly keep?: boolean;
  /** Jobs between two measurements. */
  readonly every: number;
  readonly onMeasured?: (soaked: Soaked) => void;
}

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

interface Service {
  readonly address: string;
  readonly pid: number;
  /** The address of its Redis. */
  readonly redis: string;
}

/** Trains all jobs, the large ones among the first. */
export async function soak(service: Service, options: SoakOptions): Promise<Soaked[]> {
  const client = new Client({ url: service.address });
  const redisPid = await pidOfRedis(service.redis);
  const csv = await readFile(new URL("../examples/iris.csv", import.meta.url));
  const { id: dataset } = await client.createDataset(csv);
  const weights = new Map<object, string>();
  const soaked: Soaked[] = [];
  let jobs = 0;
  const train = async (changes: Partial<SpecInput>) => {
    const spec = {
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
    if (!options.keep) await client.deleteJob(id);
    if (++jobs % options.every !== 0) return;
    const now = await measured(jobs, service.pid, redisPid);
    soaked.push(now);
    options.onMeasured?.(now);
  };
  const { large: largeJobs = 0 } = options;
  const next = (i: number) => (i % 2 === 0 && i / 2 < largeJobs ? large : tiny);
  let begun = 0;
  const lane = async () => {
    while (begun < options.tiny + largeJobs) await train(next(begun++));
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return soaked;
}

async function pidOfRedis(address: string): Promise<number> {
  const redis = new Redis(address);
  const info = await redis.info("server");
  redis.disconnect();
  return Number(/process_id:(\d+)/.exec(info)![1]);
}

async function measured(jobs: number, pid: number, redisPid: number): Promise<Soaked> {
  const [rollup, redis, status, maps, descriptors] = await Promise.all([
    readFile(`/proc/${pid}/smaps_rollup`, "utf8"),
    readFile(`/proc/${redisPid}/smaps_rollup`, "utf8"),
    readFile(`/proc/${pid}/status`, "utf8"),
    readFile(`/proc/${pid}/maps`, "utf8"),
    readdir(`/proc/${pid}/fd`),
  ]);
  return {
    jobs,
    pss: mebibytes(rollup, "Pss"),
    anonymous: mebibytes(rollup, "Pss_Anon"),
    threads: Number(/^Threads:\s+(\d+)/m.exec(status)![1]),
    memories: maps.split("\n").filter((line) => kilobytesOf(line) >= RESERVED_KILOBYTES).length,
    descriptors: descriptors.length,
    redis: mebibytes(redis, "Pss"),
  };
}

function mebibytes(rollup: string, name: string): number {
  return Math.round(Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(rollup)![1]) / 1024);
}

/** The size of a mapping, by its line in `maps`. */
function kilobytesOf(line: string): number {
  const [, from, to] = /^([0-9a-f]+)-([0-9a-f]+) /.exec(line) ?? ["", "0", "0"];
  return (parseInt(to, 16) - parseInt(from, 16)) / 1024;
}

export async function benchSoak({ jobs, keep }: { readonly jobs: number; readonly keep: boolean }): Promise<void> {
  await using processes = await Processes.create();
  const service = (await processes.start(["src/main.ts"])) as Service;
  const idle = await measured(0, service.pid, await pidOfRedis(service.redis));
  const every = Math.max(1, Math.round(jobs / 50));
  const onMeasured = (soaked: Soaked) => console.log(JSON.stringify(soaked));
  finish("soak", [idle, ...(await soak(service, { tiny: jobs, keep, every, onMeasured }))]);
}
