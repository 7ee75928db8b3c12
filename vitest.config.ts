import { defineConfig } from "vitest/config";
import { nodeArguments } from "./scripts/node-arguments.mjs";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // Types are stripped once. The small heaps of a service would only slow the tests down.
    execArgv: nodeArguments.filter((argument) => argument.startsWith("--import")),
    // Real Redis servers and real service processes: two files at once is what two cores carry.
    maxWorkers: 2,
    // What is waited for comes when a loaded machine gets to it.
    expect: { poll: { timeout: 20_000 } },
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
