// Trains a digit classifier through the service, as any HTTP client could: upload the data, post the job, watch it, fetch the model.
//
// The service is a child process with a data directory of its own, which is removed in the end; the model stays. What the
// service logs goes to a file beside it, which stays too if something fails. The last line on stdout is the result as
// JSON; everything for people goes to stderr.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { watch } from "../src/cli/watch.ts";
import { Client, type SpecInput } from "../src/client/client.ts";

const examples = new URL("../examples/", import.meta.url);

/** Settings of ours, and of the user's only those that have no say in what the demo touches. */
function environment(dataDirectory: string): NodeJS.ProcessEnv {
  const kept = new Set(["RAPPEL_INSTALL", "RAPPEL_KERNELS", "RAPPEL_THREADS"]);
  const others = Object.entries(process.env).filter(
    ([name]) => kept.has(name) || !(name.startsWith("RAPPEL_") || name === "REDIS_URL"),
  );
  return { ...Object.fromEntries(others), RAPPEL_DATA_DIR: dataDirectory, RAPPEL_PORT: "0" };
}

/** Returns the URL at which it listens. */
async function startService(directory: string, onStart: (child: ChildProcess) => void): Promise<string> {
  const main = fileURLToPath(new URL("../src/main.ts", import.meta.url));
  // Over the channel "ipc" the service notices if we vanish, and ends.
  const child = spawn(process.execPath, [main], {
    env: environment(join(directory, "data")),
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  onStart(child);
  child.stdout!.pipe(createWriteStream(join(directory, "service.log")));
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

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

async function stop(child: ChildProcess | null): Promise<void> {
  if (child === null || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  await exited;
}

async function demonstrate(directory: string, onStart: (child: ChildProcess) => void): Promise<object> {
  const startedMs = Date.now();
  say("Starting the service …");
  const service = await startService(directory, onStart);
  say(`It listens at ${service}. Uploading examples/digits.csv and posting examples/digits-adam.json …`);
  const client = new Client({ url: service });
  const dataset = await client.createDataset(await readFile(new URL("digits.csv", examples)), { name: "digits" });
  const spec = JSON.parse(await readFile(new URL("digits-adam.json", examples), "utf8")) as SpecInput;
  const { id } = await client.createJob({ ...spec, data: { ...spec.data, dataset: dataset.id } });
  const job = await watch(client, id, process.stderr);
  if (job.status !== "succeeded") {
    throw new Error(`The job ended as ${job.status}: ${job.error?.message ?? "without an error"}`);
  }
  const modelPath = join(directory, "digits.safetensors");
  await writeFile(modelPath, await client.getModel(id));
  return {
    job_id: job.id,
    status: job.status,
    valid_accuracy: job.result!.metrics.valid_accuracy,
    weights_sha256: job.result!.weights_sha256,
    model_path: modelPath,
    seconds: (Date.now() - startedMs) / 1000,
  };
}

const directory = await mkdtemp(join(tmpdir(), "rappel-demo-"));
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
  const result = await demonstrate(directory, (started) => (child = started));
  await stop(child);
  await rm(join(directory, "data"), { recursive: true });
  await rm(join(directory, "service.log"));
  process.stdout.write(`${JSON.stringify(result)}\n`);
} catch (error) {
  await stop(child);
  // Then what failed is that we stopped the service, and the signal's handler does the rest.
  if (interrupted) await new Promise(() => undefined);
  say(`The demo failed: ${(error as Error).message}`);
  say(`What the service logged is in ${join(directory, "service.log")}.`);
  process.exitCode = 1;
}
