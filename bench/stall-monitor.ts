// Loaded before the program of a service (node --import). At SIGUSR2 it writes for how long the
// event loop was blocked at most since the last time. It measures the thread's processor time, so
// that other programs on the machine do not count.
import { isMainThread } from "node:worker_threads";

const TICK_MS = 1;

// Worker threads load this too, but they may block for as long as they like.
if (isMainThread) {
  let [before, longest] = [cpuMs(), 0];
  const tick = () => {
    longest = Math.max(longest, cpuMs() - before);
    before = cpuMs();
  };
  setInterval(tick, TICK_MS).unref();
  process.on("SIGUSR2", () => {
    tick();
    process.stdout.write(`${JSON.stringify({ msg: "longest stall", ms: longest })}\n`);
    longest = 0;
  });
}

function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}
