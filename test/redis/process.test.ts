import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "vitest";
import { identify, isRunning } from "../../src/redis/process.ts";

test("a process that has ended does not count as running, even if its parent has not waited for it", async () => {
  // The second program never waits for the child of the first.
  const parent = spawn("sh", ["-c", "sleep 0.2 & echo $!; exec sleep 600"], { stdio: ["ignore", "pipe", "ignore"] });
  const [line] = (await once(parent.stdout, "data")) as [Buffer];
  const child = identify(Number(line))!;
  try {
    expect(child).toMatchObject({ pid: Number(line) });
    await expect.poll(() => isRunning(child), { timeout: 10_000 }).toBe(false);
    expect(identify(child.pid)).toBeNull();
    expect(isRunning(identify(parent.pid!)!)).toBe(true);
  } finally {
    parent.kill("SIGKILL");
  }
});
