// Loaded before the program of a service (node --import). It writes a line whenever the event loop
// was blocked for a while. It measures the thread's processor time, so that other programs on the
// machine do not count.
import { isMainThread } from "node:worker_threads";

const TICK_MS = 1;
const REPORTED_MS = 5;

// Worker threads load this too, but they may block for as long as they like.
if (isMainThread) {
  let before = cpuMs();
  setInterval(() => {
    const ms = cpuMs() - before;
    if (ms >= REPORTED_MS) process.stdout.write(`${JSON.stringify({ msg: "stall", ms })}\n`);
    before = cpuMs();
  }, TICK_MS).unref();
}

function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}
