import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { kernelsInUse, nativeSets } from "../src/engine/kernels/native.ts";
import { conformance, type Conformance } from "./conformance/conformance.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const golden = join(root, "test/golden");

describe.each(nativeSets().length > 0 ? ["wasm", "native"] : ["wasm"])(
  "the golden cases with %s kernels",
  (kernels) => {
    let result: Conformance;
    beforeAll(() => {
      vi.stubEnv("RAPPEL_KERNELS", kernels);
      expect(kernelsInUse()).toBe(kernels);
      result = conformance(golden);
    });
    afterAll(() => vi.unstubAllEnvs());

    it("all pass", () => {
      expect(result.failures).toEqual([]);
      expect(result.unsupported).toEqual([]);
    });

    it("are so many of each kind", () => {
      const counts = Object.entries(result.kinds).map(([kind, { passed }]) => [kind, passed]);
      expect(Object.fromEntries(counts)).toEqual({
        clip: 10,
        initialiser: 13,
        layer: 122,
        loss: 52,
        optimizer: 76,
        "optimizer-closure": 4,
        schedule: 33,
        "training-run": 8,
      });
    });
  },
);

describe("npm run conformance", () => {
  let directory: string;
  beforeAll(() => (directory = mkdtempSync(join(tmpdir(), "rappel-conformance-"))));
  afterAll(() => rmSync(directory, { recursive: true }));

  const run = (...parameters: string[]) =>
    spawnSync(process.execPath, [join(root, "scripts/run.mjs"), "scripts/conformance.ts", ...parameters], {
      cwd: root,
      encoding: "utf8",
    });

  it("prints one document, and exits 0 if nothing failed", () => {
    copyFileSync(join(golden, "schedules/schedules.json"), join(directory, "schedules.json"));
    const { stdout, status } = run(directory);
    const { format, kinds, failures, unsupported } = JSON.parse(stdout) as Conformance;
    expect({ format, failures, status }).toEqual({ format: "conformance-1", failures: [], status: 0 });
    expect(kinds.schedule).toEqual({ cases: 33, passed: 33, failed: 0, unsupported: 0 });
    expect(kinds.layer).toEqual({ cases: 0, passed: 0, failed: 0, unsupported: 0 });
    expect(unsupported).toEqual([]);
  });

  it("counts members that the engine lacks separately, and exits 0", () => {
    const file = JSON.parse(readFileSync(join(golden, "schedules/schedules.json"), "utf8"));
    file.cases = [{ ...file.cases[0], schedule: "AnotherLR" }];
    writeFileSync(join(directory, "schedules.json"), JSON.stringify(file));
    const { stdout, status } = run(directory);
    const { kinds, unsupported } = JSON.parse(stdout) as Conformance;
    expect(status).toBe(0);
    expect(kinds.schedule).toEqual({ cases: 1, passed: 0, failed: 0, unsupported: 1 });
    expect(unsupported).toEqual([{ id: "StepLR/0", member: "torch.AnotherLR" }]);
  });

  it("names each failure and its error, and exits 1", () => {
    const file = JSON.parse(readFileSync(join(golden, "schedules/schedules.json"), "utf8"));
    file.cases = file.cases.slice(0, 1);
    file.cases[0].lr.data[31] += 1e-10;
    writeFileSync(join(directory, "schedules.json"), JSON.stringify(file));
    const { stdout, status } = run(directory);
    const { kinds, failures } = JSON.parse(stdout) as Conformance;
    expect(status).toBe(1);
    expect(kinds.schedule).toEqual({ cases: 1, passed: 0, failed: 1, unsupported: 0 });
    expect(failures).toEqual([
      { id: "StepLR/0", kind: "schedule", what: "lr", error: expect.closeTo(1e-10, 15), tolerance: 1e-12 },
    ]);
  });

  it("says so if there is nothing to run", () => {
    const { stdout, stderr, status } = run(join(directory, "nowhere"));
    expect({ stdout, status }).toEqual({ stdout: "", status: 1 });
    expect(stderr).toContain("there are no golden cases in");
  });
});
