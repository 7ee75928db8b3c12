import { spawn } from "node:child_process";
import { once } from "node:events";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

/** Fetching a Redis and training, on a machine that may be busy with other tests. */
const TIMEOUT_MS = 180_000;
const root = fileURLToPath(new URL("../../", import.meta.url));

test("the demo trains a good classifier, and leaves nothing but the model", { timeout: TIMEOUT_MS }, async () => {
  const demo = spawn(process.execPath, ["scripts/run.mjs", "scripts/demo.ts"], {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [output, progress, [code]] = await Promise.all([text(demo.stdout), text(demo.stderr), once(demo, "exit")]);
  expect({ code, progress }).toEqual({
    code: 0,
    progress: expect.stringMatching(/step (\d+)\/\1 .* loss 0\.\d+ {2}validation accuracy 0\.\d+/),
  });

  const result = JSON.parse(output.trimEnd().split("\n").at(-1)!) as Record<string, unknown>;
  expect(result).toEqual({
    job_id: expect.stringMatching(/^job_/),
    status: "succeeded",
    valid_accuracy: expect.any(Number),
    weights_sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    model_path: expect.any(String),
    seconds: expect.any(Number),
  });
  expect(result.valid_accuracy).toBeGreaterThan(0.95);
  const path = result.model_path as string;
  expect(createHash("sha256").update(readFileSync(path)).digest("hex")).toBe(result.weights_sha256);
  expect(readdirSync(dirname(path))).toHaveLength(1);
  rmSync(dirname(path), { recursive: true });
});

test("Ctrl-C stops the demo and its service", { timeout: TIMEOUT_MS }, async () => {
  const demo = spawn(process.execPath, ["scripts/demo.ts"], { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  const exit = once(demo, "exit");
  const address = await new Promise<string>((resolve) => {
    let said = "";
    demo.stderr.on("data", (chunk: Buffer) => {
      said += chunk.toString();
      const found = /listens at (\S+)\./.exec(said);
      if (found) resolve(found[1]);
    });
  });
  expect((await fetch(`${address}/healthz`)).status).toBe(200);
  demo.kill("SIGINT");
  expect((await exit)[0]).toBe(1);
  await expect(fetch(`${address}/healthz`)).rejects.toThrow();
});

async function text(stream: NodeJS.ReadableStream): Promise<string> {
  let all = "";
  for await (const chunk of stream) all += String(chunk);
  return all;
}
