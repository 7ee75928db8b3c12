import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { Client, type SpecInput } from "../../src/client/client.ts";
import { metricsUnder } from "../../src/engine/metrics/metrics.ts";
import type { Job } from "../../src/contract/wire/job.ts";
import { startService } from "../support/service.ts";

const TIMEOUT_MS = 120_000;

/** Enough steps to be paused among, and every curve that a run without observation has. */
const spec = (dataset: string): SpecInput => ({
  data: { dataset, target: "target", validation: { every: 5 } },
  model: { layers: [{ type: "linear", out_features: 400 }, { type: "relu" }, { type: "linear" }] },
  loss: { type: "cross_entropy" },
  optimizer: { type: "adam" },
  training: { epochs: 150, batch_size: 64, clip_grad_norm: 0.5, log_every_steps: 15, eval_every_epochs: 10 },
});

test("the curves of a job that was paused are those of one that was not", { timeout: TIMEOUT_MS }, async () => {
  const directory = mkdtempSync(join(tmpdir(), "rappel-series-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const service = await startService({ env: { RAPPEL_DATA_DIR: directory, RAPPEL_THREADS: "2" } });
  onTestFinished(async () => void (await service.stop()));
  const client = new Client({ url: (await service.ready).address! });
  const { id: dataset } = await client.createDataset(readFileSync("examples/digits.csv"));
  const until = async (id: string, condition: (job: Job) => boolean) => {
    for (;;) {
      const job = await client.getJob(id);
      if (condition(job)) return job;
      expect(job.error).toBeNull();
      await sleep(10);
    }
  };
  const curves = async (id: string) => {
    await until(id, ({ status }) => status === "succeeded");
    const { series } = await client.getMetrics(id, { max_points: 10_000 });
    return series;
  };

  const whole = await curves((await client.createJob(spec(dataset))).id);
  const names = ["grad_norm", "learning_rate", "train_loss", ...metricsUnder({ targets: "class" }, 10)].sort();
  expect(Object.keys(whole).sort()).toEqual(names);
  expect(whole.valid_loss.steps).toHaveLength(15);
  expect(whole.grad_norm.steps).toHaveLength(230);

  const { id } = await client.createJob(spec(dataset));
  await until(id, ({ progress }) => progress.valid_loss !== null);
  await client.pauseJob(id);
  const { progress } = await until(id, ({ status }) => status === "paused");
  const evaluations = whole.valid_loss.steps.filter((step) => step <= progress.step).length;
  expect(evaluations).toBeGreaterThan(0);
  expect(evaluations).toBeLessThan(15);
  expect(progress.valid_loss).toBe(whole.valid_loss.values[evaluations - 1]);
  await client.resumeJob(id);
  expect(await curves(id)).toEqual(whole);
});
