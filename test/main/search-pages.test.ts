// The commands of the pages on studies and on sets of models do what the pages say.
import { execFile, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startService } from "../support/service.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const canFollow = spawnSync("bash", ["-c", "curl --fail-with-body --version"]).status === 0;

let directory: string;
let service: Awaited<ReturnType<typeof startService>>;
let api: string;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "rappel-search-"));
  symlinkSync(join(root, "examples"), join(directory, "examples"));
  service = await startService({ env: { RAPPEL_DATA_DIR: join(directory, "data"), RAPPEL_LOG_LEVEL: "warn" } });
  api = (await service.ready).address!;
}, 60_000);
afterAll(async () => {
  await service.stop();
  rmSync(directory, { recursive: true });
});

function blocks(page: string, language: string): string[] {
  const text = readFileSync(join(root, page), "utf8");
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, "gms"))].map(([, block]) => block);
}

/** Runs commands of a page, after others that make what they speak of. */
async function follow(page: string, before: readonly string[] = []): Promise<string> {
  const script = [
    "set -euo pipefail",
    // Each answer ends its line.
    'curl() { command curl --fail-with-body "$@" || return; echo; }',
    `npx() { [ "$1" = rappel ] && shift && node ${join(root, "scripts/rappel.mjs")} "$@"; }`,
    ...before,
    ...blocks(page, "sh"),
  ];
  const env = { ...process.env, RAPPEL_API_URL: api, api };
  const run = promisify(execFile)("bash", ["-c", script.join("\n")], { cwd: directory, env, timeout: 100_000 });
  const { stdout } = await run.catch((error: { stdout: string; stderr: string }) => {
    throw new Error(`${error.stdout.slice(-3000)}\n${error.stderr.slice(-3000)}`);
  });
  return stdout;
}

test.skipIf(!canFollow)("docs/search.md: a study is submitted and watched", { timeout: 120_000 }, async () => {
  const printed = await follow("docs/search.md");
  expect(printed).toMatch(/^trial\t\d+\njob\tjob_\w{26}\nvalid_loss\t0\.\d+\n\/optimizer\t\{"type":/);
});

test.skipIf(!canFollow)("docs/model-sets.md: a set is trained, read and asked", { timeout: 120_000 }, async () => {
  const rows = Array.from({ length: 160 }, (_, i) => {
    const price = 1 + ((i * 7) % 13) / 4;
    return [["Zürich", "Basel", "Bern", "Genf"][i % 4], price, Math.round(100 / price) + (i % 4)].join();
  });
  writeFileSync(join(directory, "sales.csv"), ["store,price,sales", ...rows].join("\n"));
  const example = JSON.parse(blocks("docs/model-sets.md", "json")[0]);
  const spec = {
    ...example,
    model: { layers: [{ type: "linear", out_features: 4 }, { type: "relu" }, { type: "linear" }] },
    loss: { type: "mse" },
    optimizer: { type: "adam", lr: 0.01 },
  };
  writeFileSync(join(directory, "set.json"), JSON.stringify(spec));
  const printed = await follow("docs/model-sets.md", [
    "npx rappel submit set.json --data sales.csv --watch > watched.txt",
    "job=$(cut -d ' ' -f 1 watched.txt | head -n 1)",
  ]);
  const [job, worst, failed, one, predicted] = printed
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line));
  expect(job).toMatchObject({ status: "succeeded", models: { total: 60, succeeded: 60 } });
  const losses = worst.data.map((each: { metrics: { valid_loss: number } }) => each.metrics.valid_loss);
  expect(losses).toHaveLength(20);
  expect(losses).toEqual(losses.toSorted((a: number, b: number) => b - a));
  expect([failed.data, one.number]).toEqual([[], 17]);
  expect(predicted.predictions).toHaveLength(2);
  expect(readFileSync(join(directory, "model.safetensors")).includes("0.weight")).toBe(true);
});
