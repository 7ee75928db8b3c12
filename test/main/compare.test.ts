import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

/** Fetching a Redis and training, on a machine that may be busy with other tests. */
const TIMEOUT_MS = 180_000;
const root = fileURLToPath(new URL("../../", import.meta.url));

async function compare(output: string, environment: Record<string, string>) {
  const options = ["--epochs", "4", "--trials", "4", "--seeds", "2", "--output", output];
  const child = spawn(process.execPath, ["scripts/run.mjs", "examples/compare-optimizers/main.ts", ...options], {
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

const ROW = /^ *(\d+) +(\d+)(?:–(\d+))? +(\w+) +[\d.e-]+ +(\S+) +\S+ +(\d\.\d{4}) +\d+\.\d{3}$/;

test(
  "the comparison ranks ten optimizers that were tuned alike, and leaves nothing but its files behind",
  { timeout: TIMEOUT_MS },
  async () => {
    const [directory, temporary] = ["results", "temporary"].map((name) =>
      mkdtempSync(join(tmpdir(), `rappel-${name}-`)),
    );
    const output = join(directory, "comparison");
    const { code, stdout, stderr } = await compare(output, { TMPDIR: temporary });
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: expect.stringContaining("Tuning 10 optimizers with 4 trials"),
    });
    const [head, ...lines] = stdout.split("\n");
    expect(head.trim().split(/ {2,}/)).toEqual([
      "rank",
      "95 %",
      "optimizer",
      "lr",
      "test loss",
      "± seeds",
      "accuracy",
      "ms/step",
    ]);
    const rows = lines.slice(0, 10).map((line) => ROW.exec(line)!.slice(1));
    expect(rows.map(([rank]) => Number(rank))).toEqual(Array.from({ length: 10 }, (_, i) => i + 1));
    for (const [rank, low, high = low] of rows) {
      expect(Number(rank)).toBeGreaterThanOrEqual(Number(low));
      expect(Number(rank)).toBeLessThanOrEqual(Number(high));
    }
    // Chance would be 0.1. Four epochs and trials are few.
    expect(Number(rows[0][5])).toBeGreaterThan(0.9);
    const names = rows.map(([, , , name]) => name);
    expect(new Set(names).size).toBe(10);
    const legend = lines.filter((line) => line.startsWith("█ ")).map((line) => line.replace(/^█ \w/, "").trim());
    expect(legend.toSorted()).toEqual(names.toSorted());

    const { settings, results } = JSON.parse(readFileSync(`${output}.json`, "utf8"));
    expect(settings).toEqual({ epochs: 4, trials: 4, seeds: 2 });
    for (const { lr, tried, runs } of results) {
      expect([tried.length, runs.length]).toEqual([4, 2]);
      const best = tried.reduce((a: { loss: number }, b: { loss: number }) =>
        b.loss !== null && b.loss < a.loss ? b : a,
      );
      expect(best.lr).toBe(lr);
      expect(runs.map(({ seed }: { seed: number }) => seed)).toEqual([1000, 1001]);
      expect(runs[0].curve.values).toHaveLength(4);
    }
    const page = readFileSync(`${output}.html`, "utf8");
    // It needs nothing from elsewhere, and no number is missing in a drawing.
    expect(page).not.toMatch(/<script|<link|<img|@import|url\(|(?:src|href)=|NaN|Infinity|undefined/);
    expect(page.match(/<svg /g)).toHaveLength(3 * 10 + 1);
    expect(readdirSync(directory).toSorted()).toEqual(["comparison.html", "comparison.json"]);
    expect(readdirSync(temporary)).toEqual([]);
    for (const each of [directory, temporary]) rmSync(each, { recursive: true });
  },
);

test("the comparison uses a given service, and says so if it cannot be reached", async () => {
  const output = join(tmpdir(), "no-comparison");
  const { code, stderr } = await compare(output, { RAPPEL_API_URL: "http://127.0.0.1:59999" });
  expect(code).toBe(1);
  expect(stderr).toMatch(/^The comparison failed: No service answers at http:\/\/127\.0\.0\.1:59999/);
});
