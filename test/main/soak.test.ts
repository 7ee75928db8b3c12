import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { soak } from "../../bench/soak.ts";
import { startService } from "../support/service.ts";

/** Training 150 jobs, on a machine that may be busy with other tests. */
const TIMEOUT_MS = 180_000;

// The long form is `npm run bench -- soak`.
test.runIf(process.platform === "linux")(
  "job after job is trained in the memory of a few, to the same weights",
  { timeout: TIMEOUT_MS },
  async () => {
    const directory = mkdtempSync(join(tmpdir(), "rappel-soak-"));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    const service = await startService({
      env: { RAPPEL_DATA_DIR: directory, RAPPEL_JOBS: "2", RAPPEL_THREADS: "2", RAPPEL_LOG_LEVEL: "info" },
    });
    onTestFinished(async () => void (await service.stop()));
    const { pid, address } = await service.ready;
    const { warm, end } = await soak({ pid, address: address! }, { tiny: 150, large: 9 });
    // Each memory that is not given back takes 8 GiB of addresses, and a large one 60 MB or more.
    expect(end.mappedGiB - warm.mappedGiB).toBeLessThan(3 * 8);
    expect(end.residentMiB - warm.residentMiB).toBeLessThan(200);
  },
);
