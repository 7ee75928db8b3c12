/** The commands that create, control, follow and fetch. */
import { createHash } from "node:crypto";
import { constants, openAsBlob } from "node:fs";
import { access, readFile, writeFile } from "node:fs/promises";
import { basename, extname } from "node:path";
import { parse } from "yaml";
import type { Client, SpecInput } from "../client/client.ts";
import type { BatchInput, Fork, ModelChoice } from "../client/inputs.ts";
import type { Job } from "../contract/wire/job.ts";
import { hintOnReading } from "./hints.ts";
import { summary } from "./inspect.ts";
import type { Output } from "./output.ts";
import { testRates } from "./range-test.ts";
import { watch } from "./watch.ts";

/** The exit code that shells use for an interrupt. */
const INTERRUPTED = 130;

interface SubmitOptions {
  data?: string;
  weights?: string;
  read: Record<string, string>;
  watch?: boolean;
  validate?: boolean;
  lrRangeTest?: boolean;
}

/** Creates a job from each file. Only one file can be checked, watched or tested. */
export async function submit(client: Client, files: readonly string[], options: SubmitOptions): Promise<Output> {
  const specs = await Promise.all(files.map(async (file) => (await readDocument(file)) as SpecInput));
  if (options.data !== undefined) {
    const dataset = await client.createDataset(await blobOf(options.data), {
      name: nameOf(options.data),
      ...options.read,
    });
    for (const spec of specs) spec.data = { ...spec.data, dataset: dataset.id };
  }
  if (options.weights !== undefined) {
    const { id } = await client.createWeights(await blobOf(options.weights), { name: nameOf(options.weights) });
    for (const spec of specs) spec.init = { ...(typeof spec.init === "object" ? spec.init : null), weights: id };
  }
  if (specs.length > 1) return await submitAll(client, files, specs);
  const [spec] = specs;
  if (options.validate) {
    const valid = await client.validateJob(spec);
    tell(valid.warnings);
    return { value: valid, text: `Valid: ${valid.parameters} parameters, ${valid.total_steps} steps.` };
  }
  if (options.lrRangeTest) return await testRates(client, spec, (id) => follow(client, id));
  return created(client, await client.createJob(spec), options);
}

async function submitAll(client: Client, files: readonly string[], specs: SpecInput[]): Promise<Output> {
  const answer = await client.createJobs(specs);
  const ids: string[] = [];
  for (const [i, result] of answer.results.entries()) {
    if ("job" in result) ids.push(result.job.id);
    else process.stderr.write(`${files[i]}: ${result.problem.detail}\n`);
  }
  return { value: answer, text: ids.join("\n"), refused: ids.length < files.length };
}

export const nameOf = (path: string): string => basename(path, extname(path));

export async function blobOf(file: string): Promise<Blob> {
  return await read(file, async (path) => {
    await access(path, constants.R_OK);
    return await openAsBlob(path);
  });
}

export async function fork(
  client: Client,
  id: string,
  options: { from: Fork["step"]; overrides?: string; optimizer: boolean; watch?: boolean },
): Promise<Output> {
  const overrides = options.overrides === undefined ? {} : ((await readDocument(options.overrides)) as object);
  // Sent only if the user refuses it, because the default depends on the step.
  const optimizer = options.optimizer ? {} : { optimizer: false };
  return created(client, await client.forkJob(id, { step: options.from, overrides, ...optimizer }), options);
}

async function created(client: Client, job: Job, options: { watch?: boolean }): Promise<Output> {
  tell(job.warnings);
  if (!options.watch) return { value: job, text: job.id };
  process.stderr.write(`${job.id}\n`);
  return follow(client, job.id);
}

function tell(warnings: Job["warnings"]): void {
  for (const { pointer, message } of warnings) {
    const hint = hintOnReading(message);
    process.stderr.write(`Warning: ${pointer} ${message}.${hint === null ? "" : ` ${hint}`}\n`);
  }
}

export async function follow(client: Client, id: string): Promise<Output> {
  const leave = () => {
    process.stderr.write(`\n${id} goes on. To watch it again: rappel watch ${id}\n`);
    process.exit(INTERRUPTED);
  };
  process.once("SIGINT", leave);
  try {
    const job = await watch(client, id, process.stderr);
    return { value: job, text: summary(job), ended: job.status };
  } finally {
    process.off("SIGINT", leave);
  }
}

export async function control(client: Client, action: "cancel" | "pause" | "resume", id: string): Promise<Output> {
  const job = await client[`${action}Job`](id);
  return { value: job, text: `${job.id} ${job.status}` };
}

/** Deletes a job that has ended, or a dataset or weights that no open job uses. */
export async function remove(client: Client, id: string): Promise<Output> {
  if (id.startsWith("ds_")) await client.deleteDataset(id);
  else if (id.startsWith("w_")) await client.deleteWeights(id);
  else await client.deleteJob(id);
  return { value: { id, deleted: true }, text: `${id} deleted` };
}

export async function model(
  client: Client,
  id: string,
  options: { output?: string; which: "final" | "best" },
): Promise<Output> {
  const bytes = await client.getModel(id, { which: options.which });
  const path = options.output ?? `${id}.safetensors`;
  if (path === "-") return { value: null, text: "", bytes };
  await writeFile(path, bytes);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return { value: { path, bytes: bytes.length, sha256 }, text: path };
}

const OUT_OF_FOLD = "out-of-fold";

/** Predicts from the rows of a CSV file, from those of a dataset, or out of fold. */
export async function predict(client: Client, id: string, file: string, options: ModelChoice): Promise<Output> {
  if (/^ds_\w{26}$/.test(file)) return await predictDataset(client, id, { dataset: file, ...options });
  if (file === OUT_OF_FOLD) return await predictDataset(client, id, { split: "out_of_fold", ...options });
  const rows = await read(file, async () => (file === "-" ? await standardInput() : await readFile(file, "utf8")));
  const answer = await client.predict(id, rows, options);
  const lines = answer.predictions.map((prediction) => {
    if ("class" in prediction) return [prediction.class].flat();
    return "values" in prediction ? Object.values(prediction.values) : [JSON.stringify(prediction.value)];
  });
  return { value: answer, text: lines.map((cells) => cells.join("\t")).join("\n") };
}

/** How often a prediction is looked at. */
const LOOK_MS = 500;

/** The CSV of a dataset's predictions, as it is; in JSON the prediction itself. */
async function predictDataset(client: Client, id: string, asked: BatchInput): Promise<Output> {
  let prediction = await client.createPrediction(id, asked);
  while (prediction.finished_at === null) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    prediction = await client.getPrediction(id, prediction.id);
  }
  const { error, status } = prediction;
  if (error !== null) throw new Error([error.message, error.suggestion ?? ""].join(" ").trim());
  if (status === "cancelled") return { value: prediction, text: `${prediction.id} was cancelled`, ended: status };
  return { value: prediction, text: "", stream: await client.getPredictionResult(id, prediction.id) };
}

const standardInput = (): Promise<string> => new Response(process.stdin as never).text();

/** Reads a YAML or JSON document (JSON is YAML too). `-` is the standard input. */
export async function readDocument(file: string): Promise<unknown> {
  const document: unknown = await read(file, async () =>
    parse(file === "-" ? await standardInput() : await readFile(file, "utf8")),
  );
  if (typeof document === "object" && document !== null) return document;
  throw new Error(`${file} holds no YAML or JSON object.`);
}

/** Names the file in the message of an error, which does not always do so. */
async function read<T>(file: string, how: (file: string) => Promise<T>): Promise<T> {
  try {
    return await how(file);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = code === "ENOENT" ? "there is no such file" : message;
    throw new Error(`${file} cannot be read: ${reason}`, { cause: error });
  }
}
