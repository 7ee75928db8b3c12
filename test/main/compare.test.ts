import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

/** Fetching a Redis and training, on a machine that may be busy with other tests. */
const TIMEOUT_MS = 180_000;
const root = fileURLToPath(new URL("../../", import.meta.url));

async function compare(environment: Record<string, string>) {
  const child = spawn(process.execPath, ["scripts/run.mjs", "examples/compare-optimizers/main.ts", "4"], {
    cwd: root,
    env: { ...process.env, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (text: Buffer) => (stdout += text.toString()));
  child.stderr.on("data", (text: Buffer) => (stderr += text.toString()));
  const [code] = (await once(child, "close")) as [number];
  return { code, stdout, stderr };
}

test(
  "the comparison shows the results of ten optimizers, and leaves nothing behind",
  { timeout: TIMEOUT_MS },
  async () => {
    const directory = mkdtempSync(join(tmpdir(), "rappel-compare-test-"));
    const { code, stdout, stderr } = await compare({ TMPDIR: directory });
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringContaining("Training under 10 optimizers") });
    const [head, ...lines] = stdout.split("\n");
    expect(head).toMatch(/^optimizer +lr +train loss +valid accuracy +seconds +steps\/s$/);
    const names = lines.slice(0, 10).map((line) => {
      const [, name, loss, accuracy] = /^(\w+) +[\d.]+ +(\d\.\d{4}) +(\d\.\d{4}) +\d+\.\d\d +[\d,]+$/.exec(line)!;
      // Four epochs are few, and chance would be 2.3 and 0.1.
      expect([name, Number(loss) < 1, Number(accuracy) > 0.85]).toEqual([name, true, true]);
      return name;
    });
    expect(new Set(names).size).toBe(10);
    const legend = lines.filter((line) => line.startsWith("█ ")).map((line) => line.replace(/^█ \w/, "").trim());
    expect(legend.toSorted()).toEqual(names.toSorted());
    expect(readdirSync(directory)).toEqual([]);
    rmSync(directory, { recursive: true });
  },
);

test("the comparison uses a given service, and says so if it cannot be reached", async () => {
  const { code, stderr } = await compare({ RAPPEL_API_URL: "http://127.0.0.1:59999" });
  expect(code).toBe(1);
  expect(stderr).toMatch(/^The comparison failed: No service answers at http:\/\/127\.0\.0\.1:59999/);
});
