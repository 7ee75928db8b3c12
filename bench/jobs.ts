// Small jobs through the whole service: 8 clients post, and the clock stops when the last job has
// succeeded. Then one client posts alone and waits for each job. The CPU time that a job takes is
// the steadiest of the figures, because the speed of a shared machine drifts.
import { readFile } from "node:fs/promises";
import { Redis } from "ioredis";
import { Client, type SpecInput } from "../src/client/client.ts";
import { Processes } from "./processes.ts";
import { finish } from "./report.ts";
import { median } from "./statistics.ts";

const CLIENTS = 8;
const ALONE = 20;
const WARM_UP = 20;
const JIFFIES_PER_SECOND = 100;

const jobs = {
  iris: { count: 300, width: 16, training: { epochs: 20, batch_size: 16 } },
  digits: { count: 100, width: 64, training: { epochs: 10, batch_size: 32 } },
};
type Name = keyof typeof jobs;

export function specOf(dataset: string, name: Name): SpecInput {
  return {
    data: { dataset, target: "target", validation: { every: 5 } },
    model: { layers: [{ type: "linear", out_features: jobs[name].width }, { type: "relu" }, { type: "linear" }] },
    loss: { type: "cross_entropy" },
    optimizer: { type: "adam", lr: 0.01 },
    training: jobs[name].training,
  };
}

/** Each client posts its next job as soon as the one before was accepted. */
async function post(client: Client, spec: SpecInput, count: number): Promise<string[]> {
  const ids: string[] = [];
  let left = count;
  const one = async () => {
    while (left-- > 0) ids.push((await client.createJob(spec)).id);
  };
  await Promise.all(Array.from({ length: CLIENTS }, one));
  return ids;
}

/** Waits for each job by long polls. */
export async function succeeded(client: Client, ids: readonly string[]): Promise<void> {
  for (const id of ids) {
    let status = "queued";
    let etag = "";
    while (!["succeeded", "failed", "cancelled"].includes(status)) {
      const headers = { "if-none-match": etag };
      const response = await fetch(`${client.url}/v1/jobs/${id}/progress?wait_ms=10000`, { headers });
      etag = response.headers.get("etag")!;
      if (response.ok) ({ status } = (await response.json()) as { status: string });
    }
    if (status !== "succeeded") throw new Error(`job ${id} is ${status}`);
  }
}

async function alone(client: Client, spec: SpecInput): Promise<number> {
  const began = performance.now();
  await succeeded(client, [(await client.createJob(spec)).id]);
  return performance.now() - began;
}

/** The processes of a service: its own and that of its Redis. */
export class Costs {
  readonly #pids: readonly number[];
  readonly #redis: Redis;

  private constructor(pids: readonly number[], redis: Redis) {
    this.#pids = pids;
    this.#redis = redis;
  }

  static async of(service: { pid: number; redis: string }): Promise<Costs> {
    const redis = new Redis(service.redis);
    const own = Number(/process_id:(\d+)/.exec(await redis.info("server"))![1]);
    return new Costs([service.pid, own], redis);
  }

  async cpuMs(): Promise<number> {
    const each = this.#pids.map(async (pid) => {
      const [, fields] = (await readFile(`/proc/${pid}/stat`, "utf8")).split(") ");
      const [user, system] = fields.split(" ").slice(11, 13).map(Number);
      return ((user + system) * 1000) / JIFFIES_PER_SECOND;
    });
    return sum(await Promise.all(each));
  }

  /** The commands that Redis has run, those of scripts included. */
  async commands(): Promise<number> {
    const stats = await this.#redis.info("commandstats");
    return sum([...stats.matchAll(/:calls=(\d+)/g)].map(([, calls]) => Number(calls)));
  }

  async pssMb(): Promise<number> {
    const each = this.#pids.map(async (pid) => {
      const rollup = await readFile(`/proc/${pid}/smaps_rollup`, "utf8");
      return Number(/^Pss:\s+(\d+) kB/m.exec(rollup)![1]) / 1024;
    });
    return sum(await Promise.all(each));
  }

  close(): void {
    this.#redis.disconnect();
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

async function measure(processes: Processes, name: Name): Promise<object> {
  const service = await processes.start(["src/main.ts"]);
  const costs = await Costs.of(service as { pid: number; redis: string });
  const client = new Client({ url: service.address });
  const { id } = await client.createDataset(await readFile(new URL(`../examples/${name}.csv`, import.meta.url)));
  const spec = specOf(id, name);
  await succeeded(client, await post(client, spec, WARM_UP));
  const { count } = jobs[name];
  const [cpuMs, commands] = [await costs.cpuMs(), await costs.commands()];
  const began = performance.now();
  await succeeded(client, await post(client, spec, count));
  const seconds = (performance.now() - began) / 1000;
  const each = (before: number, after: number) => ((after - before) / count).toFixed(1);
  const cost = `${each(cpuMs, await costs.cpuMs())} ms of CPU, ${each(commands, await costs.commands())} Redis commands`;
  const times: number[] = [];
  for (let i = 0; i < ALONE; i++) times.push(await alone(client, spec));
  const row = {
    job: name,
    per_second: Number((count / seconds).toFixed(1)),
    alone_ms: Number(median(times).toFixed(1)),
    pss_mb: Math.round(await costs.pssMb()),
  };
  costs.close();
  console.log(`${name}: ${row.per_second} jobs/s, alone ${row.alone_ms} ms, ${row.pss_mb} MB; a job takes ${cost}`);
  return row;
}

export async function benchJobs(): Promise<void> {
  await using processes = await Processes.create();
  const rows: object[] = [];
  for (const name of ["iris", "digits"] as const) rows.push(await measure(processes, name));
  finish("jobs", rows);
}
