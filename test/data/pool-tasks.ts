/** Tasks for the test of the pool, which says when they end. */
import { parentPort } from "node:worker_threads";
import type { Request } from "../../src/data/serve.ts";

parentPort?.on("message", ({ task, input }: Request) => {
  if (task === "spin") for (;;);
  if (task === "exit") process.exit(1);
  const gate = input as Int32Array;
  Atomics.add(gate, 0, 1);
  Atomics.notify(gate, 0);
  Atomics.wait(gate, 1, 0);
  parentPort?.postMessage({ result: task });
});
