// Loaded before a service's own program (node --import): writes a line for each stretch in which
// its event loop did not turn. It measures the time of the thread's processor, so that other
// programs on the machine do not count.
import { isMainThread } from "node:worker_threads";

const TICK_MS = 1;
const TOLD_MS = 5;

// Threads load this too; they may work for as long as they like.
if (isMainThread) {
  let before = cpuMs();
  setInterval(() => {
    const ms = cpuMs() - before;
    if (ms >= TOLD_MS) process.stdout.write(`${JSON.stringify({ msg: "stall", ms })}\n`);
    before = cpuMs();
  }, TICK_MS).unref();
}

function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}
