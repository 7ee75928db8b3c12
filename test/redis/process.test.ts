import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, onTestFinished, test, vi } from "vitest";
import { endServer } from "../../src/redis/leftover.ts";
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

test("a server that does not react to its end is killed, and is gone afterwards", async () => {
  // It takes the system a while to give back so much memory.
  const program = `
    process.on("SIGTERM", () => undefined);
    globalThis.kept = Buffer.alloc(3 * 2 ** 28, 1);
    setInterval(() => undefined, 2 ** 30);
    console.log("ready");
  `;
  const server = spawn(process.execPath, ["-e", program], { stdio: ["ignore", "pipe", "ignore"] });
  await once(server.stdout, "data");
  const identity = identify(server.pid!)!;
  // The time that it is given is over when the clock is read for the second time.
  const clock = vi.spyOn(Date, "now").mockReturnValueOnce(0);
  onTestFinished(() => clock.mockRestore());
  await endServer(identity);
  expect(isRunning(identity)).toBe(false);
  await expect.poll(() => server.signalCode).toBe("SIGKILL");
});
