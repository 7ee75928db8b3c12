// Trains a digit classifier through the service, as any HTTP client could: it uploads the data,
// posts the job, watches it and fetches the model.
//
// The model file is kept. The last line on stdout is the result as JSON. Everything for people goes
// to stderr.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { watch } from "../src/cli/watch.ts";
import { Client, type SpecInput } from "../src/client/client.ts";
import { say, withService } from "./own-service.ts";

const examples = new URL("../examples/", import.meta.url);
const startedMs = Date.now();

const result = await withService("demo", async (url, directory) => {
  say(`It listens at ${url}. Uploading examples/digits.csv and posting examples/digits-adam.json …`);
  const client = new Client({ url });
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
});
if (result !== null) process.stdout.write(`${JSON.stringify(result)}\n`);
