// A temporary service, for scripts that show what the service does.
//
// It is a child process with its own data directory, which is removed at the end. Its log is a file
// beside that, which is kept if something fails. All messages are for people and go to stderr.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { mkdtemp, rm, rmdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { nodeArguments } from "./node-arguments.mjs";

/**
 * Starts a service, lets `use` work with it, and stops it. Returns the result of `use`. If
 * something fails, it prints that, returns null and sets the exit code to 1. `directory` is for
 * files to keep, and is removed if it is empty. `name` is the name of the script in messages.
 */
export async function withService<T>(
  name: string,
  use: (url: string, directory: string) => Promise<T>,
): Promise<T | null> {
  const directory = await mkdtemp(join(tmpdir(), `rappel-${name}-`));
  const data = join(directory, "data");
  const log = join(directory, "service.log");
  let child: ChildProcess | null = null;
  let interrupted = false;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(signal, () => {
      interrupted = true;
      say("\nStopping the service …");
      void stop(child)
        .then(() => rm(directory, { recursive: true }))
        .finally(() => process.exit(1));
    });
  }
  try {
    say("Starting the service …");
    const result = await use(await startService(data, log, (started) => (child = started)), directory);
    await stop(child);
    await Promise.all([rm(data, { recursive: true }), rm(log)]);
    // Files that `use` left there are kept.
    await rmdir(directory).catch(() => undefined);
    return result;
  } catch (error) {
    await stop(child);
    // Then the error comes from stopping the service, and the handler of the signal does the rest.
    if (interrupted) await new Promise(() => undefined);
    say(`The ${name} failed: ${(error as Error).message}`);
    say(`The log of the service is ${log}.`);
    process.exitCode = 1;
    return null;
  }
}

export function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

/**
 * Our settings, and of the user's settings only those that do not change which data or Redis we
 * use.
 */
function environment(dataDirectory: string): NodeJS.ProcessEnv {
  const kept = new Set(["RAPPEL_INSTALL", "RAPPEL_KERNELS", "RAPPEL_THREADS"]);
  const others = Object.entries(process.env).filter(
    ([name]) => kept.has(name) || !(name.startsWith("RAPPEL_") || name === "REDIS_URL"),
  );
  return { ...Object.fromEntries(others), RAPPEL_DATA_DIR: dataDirectory, RAPPEL_PORT: "0" };
}

/** Returns the URL of the service. */
async function startService(data: string, log: string, onStart: (child: ChildProcess) => void): Promise<string> {
  const main = fileURLToPath(new URL("../src/main.ts", import.meta.url));
  // Through the channel "ipc" the service notices if this process dies, and ends.
  const child = spawn(process.execPath, [...nodeArguments, main], {
    env: environment(data),
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  onStart(child);
  child.stdout!.pipe(createWriteStream(log));
  let complaint = "";
  child.stderr!.on("data", (text: Buffer) => (complaint += text.toString()));
  return await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout! }).on("line", (line) => {
      const event = JSON.parse(line) as { msg: string; address: string };
      if (event.msg === "ready") resolve(event.address);
      else if (event.msg.includes("fetching")) say("There is no Redis on PATH; fetching one with apt, without root …");
    });
    child.once("error", reject);
    child.once("close", () => reject(new Error(`the service did not start. ${complaint.trim()}`)));
  });
}

async function stop(child: ChildProcess | null): Promise<void> {
  if (child === null || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  await exited;
}
