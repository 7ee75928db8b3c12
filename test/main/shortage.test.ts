// A service whose memory is limited: `ulimit -v` counts the addresses that each memory reserves.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { Client, type SpecInput } from "../../src/client/client.ts";
import { startService } from "../support/service.ts";

/** Enough for three memories at once. With less, Node reserves no more than it needs. */
const ADDRESSES = 42e9;
const JOBS = 8;
/** Eight sizes of memory, so that a job rarely finds one that is kept. */
const widths = [16, 500, 1000, 1500, 2000, 2500, 3000, 4000];
const limited = ["prlimit", `--as=${ADDRESSES}`];

test.runIf(spawnSync(limited[0], ["--version"]).status === 0)(
  "of jobs for which there is no memory at once, none fails",
  { timeout: 240_000 },
  async () => {
    const directory = mkdtempSync(join(tmpdir(), "rappel-shortage-"));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    const env = { RAPPEL_DATA_DIR: directory, RAPPEL_JOBS: "3", RAPPEL_THREADS: "3" };
    const service = await startService({ env, within: limited });
    onTestFinished(async () => void (await service.stop()));
    const client = new Client({ url: (await service.ready).address! });
    const { id: dataset } = await client.createDataset(
      await readFile(new URL("../../examples/iris.csv", import.meta.url)),
    );
    const post = async (_: unknown, i: number) =>
      await client.createJob({
        data: { dataset, target: "target", validation: { every: 5 } },
        model: { layers: [{ type: "linear", out_features: widths[i % widths.length] }, { type: "linear" }] },
        loss: { type: "cross_entropy" },
        optimizer: { type: "adamw", lr: 0.01 },
        training: { epochs: 20, batch_size: "full" },
      } satisfies SpecInput);
    const ids = (await Promise.all(Array.from({ length: JOBS }, post))).map(({ id }) => id);
    // Whether a job is given back depends on which ones run together. None may fail.
    for (const id of ids) {
      let job = await client.getJob(id);
      for (; ["queued", "running"].includes(job.status); job = await client.getJob(id)) await sleep(50);
      expect(job, JSON.stringify(job.error)).toMatchObject({ status: "succeeded" });
    }
  },
);
