// A service of one's own, for scripts that show what it does.
//
// It is a child process with a data directory of its own, which is removed in the end. What it logs
// goes to a file beside it, which stays if something fails. What is said here is for people and
// goes to stderr.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { mkdtemp, rm, rmdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/**
 * Starts a service, lets `use` do something with it, and stops it. Returns what came of that; null,
 * and the process is to end with 1, if it failed, which has been told then. `directory` is for what
 * is to stay, and is removed if it is empty. `name` is what the script calls itself.
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
    // What is left in it stays.
    await rmdir(directory).catch(() => undefined);
    return result;
  } catch (error) {
    await stop(child);
    // Then what failed is that we stopped the service, and the signal's handler does the rest.
    if (interrupted) await new Promise(() => undefined);
    say(`The ${name} failed: ${(error as Error).message}`);
    say(`What the service logged is in ${log}.`);
    process.exitCode = 1;
    return null;
  }
}

export function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Settings of ours, and of the user's only those that have no say in what we touch. */
function environment(dataDirectory: string): NodeJS.ProcessEnv {
  const kept = new Set(["RAPPEL_INSTALL", "RAPPEL_KERNELS", "RAPPEL_THREADS"]);
  const others = Object.entries(process.env).filter(
    ([name]) => kept.has(name) || !(name.startsWith("RAPPEL_") || name === "REDIS_URL"),
  );
  return { ...Object.fromEntries(others), RAPPEL_DATA_DIR: dataDirectory, RAPPEL_PORT: "0" };
}

/** Returns the URL at which it listens. */
async function startService(data: string, log: string, onStart: (child: ChildProcess) => void): Promise<string> {
  const main = fileURLToPath(new URL("../src/main.ts", import.meta.url));
  // Over the channel "ipc" the service notices if we vanish, and ends.
  const child = spawn(process.execPath, [main], {
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
