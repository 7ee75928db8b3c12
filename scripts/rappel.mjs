#!/usr/bin/env node
// `npx rappel …` runs the command line on a Node that can run it.
process.argv.splice(2, 0, "src/cli/main.ts");
await import("./run.mjs");
