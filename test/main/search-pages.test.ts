// The commands of the pages on studies and on sets of models do what the pages say.
import { execFile, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
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

/** What the last command of a page prints, as the page shows it. */
function printedBy(page: string): string {
  return blocks(page, "csv").at(-1)!;
}

/** Runs the commands of a page. */
async function follow(page: string): Promise<string> {
  const script = [
    "set -euo pipefail",
    // Each answer ends its line.
    'curl() { command curl --fail-with-body "$@" || return; echo; }',
    `npx() { [ "$1" = rappel ] && shift && node ${join(root, "scripts/rappel.mjs")} "$@"; }`,
    ...blocks(page, "sh"),
  ];
  const commands = script.join("\n").replaceAll("localhost:8080", new URL(api).host);
  const env = { ...process.env, RAPPEL_API_URL: api };
  const run = promisify(execFile)("bash", ["-c", commands], { cwd: directory, env, timeout: 100_000 });
  const { stdout } = await run.catch((error: { stdout: string; stderr: string }) => {
    throw new Error(`${error.stdout.slice(-3000)}\n${error.stderr.slice(-3000)}`);
  });
  return stdout;
}

test.skipIf(!canFollow)("docs/search.md: a study is submitted and watched", { timeout: 120_000 }, async () => {
  const printed = await follow("docs/search.md");
  expect(printed).toMatch(/^trial\t\d+\njob\tjob_\w{26}\nvalid_loss\t0\.\d+\n\/optimizer\t\{"type":/);
});

test.skipIf(!canFollow)("docs/model-sets.md: sets are trained, read and asked", { timeout: 120_000 }, async () => {
  const printed = await follow("docs/model-sets.md");
  expect(printed).toContain(printedBy("docs/model-sets.md"));
  const r2 = printed.match(/valid_r2 (-?[\d.]+)/g)!.map((line) => Number(line.slice("valid_r2 ".length)));
  expect(r2[1].toFixed(2)).toBe("0.79");
  const [pooled, job, worst, failed, one, predicted] = printed
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line));
  expect(pooled.layers.map(({ type }: { type: string }) => type)).toContain("column_embedding");
  expect(job).toMatchObject({ status: "succeeded", models: { total: 45, succeeded: 45 } });
  const losses = worst.data.map((each: { metrics: { valid_loss: number } }) => each.metrics.valid_loss);
  expect(losses).toHaveLength(20);
  expect(losses).toEqual(losses.toSorted((a: number, b: number) => b - a));
  expect([failed.data, one.number]).toEqual([[], 17]);
  expect(predicted.predictions).toHaveLength(2);
  const has = (name: string, tensor: string) => readFileSync(join(directory, name)).includes(tensor);
  expect(has("pooled.safetensors", '"0.0.weight"')).toBe(true);
  expect(has("model.safetensors", '"0.weight"')).toBe(true);
  expect(has("all.safetensors", '"0.weight":{"dtype":"F32","shape":[45,8,3]')).toBe(true);
});
