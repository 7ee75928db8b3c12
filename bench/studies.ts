// Studies through the whole service, beside the same number of jobs in one batch. The overhead of a
// trial is the CPU time of the service and its Redis for a trial, less that for a job of the batch.
// Both train the same model on the same rows.
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { Client, type SpecInput } from "../src/client/client.ts";
import { Costs, specOf, succeeded } from "./jobs.ts";
import { Processes } from "./processes.ts";
import { finish } from "./report.ts";

const TRIALS = 300;
const PARALLEL = 32;
const WARM_UP = 50;
const SAMPLERS = ["random", "tpe"];

export async function benchStudies(): Promise<void> {
  await using processes = await Processes.create();
  const rows: object[] = [];
  const service = await processes.start(["src/main.ts"]);
  const costs = await Costs.of(service as { pid: number; redis: string });
  const client = new Client({ url: service.address });
  const { id } = await client.createDataset(await readFile(new URL("../examples/iris.csv", import.meta.url)));
  const spec = specOf(id, "iris");
  await batch(client, spec, WARM_UP);
  await study(client, spec, "tpe", WARM_UP);
  const alone = await measured(costs, () => batch(client, spec, TRIALS));
  for (const sampler of SAMPLERS) {
    const { perSecond, cpuMs } = await measured(costs, () => study(client, spec, sampler, TRIALS));
    const overhead = cpuMs - alone.cpuMs;
    console.log(
      `${sampler.padEnd(8)} ${perSecond.toFixed(0).padStart(5)} trials/s (a batch: ${alone.perSecond.toFixed(0)} jobs/s)` +
        `  ${cpuMs.toFixed(2)} ms of CPU a trial, ${overhead.toFixed(2)} more than a job`,
    );
    rows.push({ sampler, trials: TRIALS, per_second: perSecond, cpu_ms: cpuMs, overhead_ms: overhead });
  }
  costs.close();
  finish("studies", rows);
}

async function measured(costs: Costs, work: () => Promise<void>): Promise<{ perSecond: number; cpuMs: number }> {
  const [cpuMs, began] = [await costs.cpuMs(), performance.now()];
  await work();
  const seconds = (performance.now() - began) / 1000;
  return { perSecond: TRIALS / seconds, cpuMs: ((await costs.cpuMs()) - cpuMs) / TRIALS };
}

async function batch(client: Client, spec: SpecInput, count: number): Promise<void> {
  const { results } = await client.createJobs(Array.from({ length: count }, () => spec));
  await succeeded(
    client,
    results.flatMap((result) => ("job" in result ? [result.job.id] : [])),
  );
}

async function study(client: Client, spec: SpecInput, type: string, trials: number): Promise<void> {
  const space = {
    "/optimizer/lr": { log_uniform: [1e-4, 0.1] as [number, number] },
    "/optimizer/eps": { log_uniform: [1e-9, 1e-6] as [number, number] },
  };
  const asked = { spec: spec as Record<string, unknown>, space, sampler: { type }, trials, parallel: PARALLEL };
  const { id } = await client.createStudy(asked);
  for (;;) {
    const { status } = await client.getStudy(id);
    if (status === "succeeded") return;
    if (status === "failed") throw new Error(`study ${id} has failed`);
    await sleep(20);
  }
}
