import type { Worker } from "node:worker_threads";
import { expect, test } from "vitest";
import { extractModels } from "../../../src/engine/state/state-worker.ts";

const threads: Worker[] = [];
process.on("worker", (thread) => void threads.push(thread));

test("when the thread dies, its requests fail, and a new thread does later ones", async () => {
  const noFile = () => extractModels(new Uint8Array(8), ["final"]);
  const damaged = await noFile().catch((error: Error) => error.message);
  expect(threads).toHaveLength(1);
  // No task looks like that.
  threads[0].postMessage(null);
  const asked = [noFile(), noFile()].map((answer) => answer.catch((error: Error) => error.message));
  for (const failure of await Promise.all(asked)) expect(failure).toContain("Cannot destructure");
  await expect(noFile()).rejects.toThrow(damaged as string);
  expect(threads).toHaveLength(2);
});
