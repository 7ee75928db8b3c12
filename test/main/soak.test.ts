import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { soak } from "../../bench/soak.ts";
import { startService } from "../support/service.ts";

/** Training 200 jobs, on a machine that may be busy with other tests. */
const TIMEOUT_MS = 240_000;

// The long form is `npm run bench -- soak`.
test.runIf(process.platform === "linux")(
  "job after job is trained in the memories and by the threads of the first ones, to the same weights",
  { timeout: TIMEOUT_MS },
  async () => {
    const directory = mkdtempSync(join(tmpdir(), "rappel-soak-"));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    const service = await startService({
      env: { RAPPEL_DATA_DIR: directory, RAPPEL_JOBS: "2", RAPPEL_THREADS: "2", RAPPEL_LOG_LEVEL: "info" },
    });
    onTestFinished(async () => void (await service.stop()));
    const { pid, address, redis } = await service.ready;
    const soaked = await soak({ pid, address: address!, redis }, { tiny: 200, large: 8, every: 52 });
    const [warm, ...later] = soaked;
    const most = (name: "pss" | "memories" | "threads" | "descriptors") => Math.max(...later.map((each) => each[name]));
    expect(soaked.map(({ jobs }) => jobs)).toEqual([52, 104, 156, 208]);
    expect(warm.memories).toBeGreaterThan(0);
    // A helper thread may start later than others, and has a memory for its functions.
    expect(most("memories")).toBeLessThanOrEqual(warm.memories + 2);
    expect(most("threads")).toBeLessThanOrEqual(warm.threads + 2);
    expect(most("pss")).toBeLessThan(warm.pss + 200);
    expect(most("descriptors")).toBeLessThanOrEqual(warm.descriptors + 20);
  },
);
