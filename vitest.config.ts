import { defineConfig } from "vitest/config";
import { nodeArguments } from "./scripts/node-arguments.mjs";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    execArgv: [...nodeArguments],
    // Real Redis servers and real service processes: two files at once is what two cores carry.
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
