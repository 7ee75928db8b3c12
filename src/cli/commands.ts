/** What the commands do. Each gives a value: what `--json` prints, and `text` what people read instead. */
import { createHash } from "node:crypto";
import { openAsBlob } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { basename, extname } from "node:path";
import { parse } from "yaml";
import type { Client, Fork, SpecInput } from "../client/client.ts";
import type { Job, JobStatus, JobSummary } from "../spec/wire.ts";
import { watch } from "./watch.ts";

export interface Output {
  readonly value: unknown;
  readonly text: string;
  /** The status of a job that was watched to its end. */
  readonly ended?: JobStatus;
}

export async function submit(
  client: Client,
  file: string,
  options: { data?: string; read: Record<string, string>; watch?: boolean; validate?: boolean },
): Promise<Output> {
  const spec = (await readDocument(file)) as SpecInput;
  if (options.data !== undefined) {
    const name = basename(options.data, extname(options.data));
    const table = await read(options.data, openAsBlob);
    const dataset = await client.createDataset(table, { name, ...options.read });
    spec.data = { ...spec.data, dataset: dataset.id };
  }
  if (options.validate) {
    const valid = await client.validateJob(spec);
    tell(valid.warnings);
    return { value: valid, text: `Valid: ${valid.parameters} parameters, ${valid.total_steps} steps.` };
  }
  return created(client, await client.createJob(spec), options);
}

export async function fork(
  client: Client,
  id: string,
  options: { from: Fork["step"]; overrides?: string; optimizer: boolean; watch?: boolean },
): Promise<Output> {
  const overrides = options.overrides === undefined ? {} : ((await readDocument(options.overrides)) as object);
  // Said only if it is refused: what goes along by itself depends on the step.
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
  for (const { pointer, message } of warnings) process.stderr.write(`Warning: ${pointer} ${message}.\n`);
}

export async function follow(client: Client, id: string): Promise<Output> {
  const job = await watch(client, id, process.stderr);
  return { value: job, text: summary(job), ended: job.status };
}

function summary({ id, status, result, error }: Job): string {
  if (result !== null) {
    const metrics = Object.entries(result.metrics).map(([name, value]) => `${name} ${value?.toPrecision(4) ?? "–"}`);
    return [`${id} ${status} after ${result.steps} steps`, ...metrics, `weights_sha256 ${result.weights_sha256}`].join(
      "\n  ",
    );
  }
  if (error === null) return `${id} ${status}`;
  return [`${id} ${status}: ${error.message}`, ...(error.suggestion === null ? [] : [error.suggestion])].join("\n  ");
}

export async function jobs(client: Client, options: { status?: JobStatus[]; limit?: number }): Promise<Output> {
  const page = await client.listJobs(options);
  const rows = page.data.map(({ id, status, progress, name, created_at }: JobSummary) => {
    const share = `${Math.floor(100 * progress.progress)} %`.padStart(5);
    return [id, status.padEnd(10), share, created_at, name ?? ""].join("  ").trimEnd();
  });
  const more = page.has_more ? ["… and more: give a higher --limit."] : [];
  return { value: page, text: [...rows, ...more].join("\n") || "There are no jobs." };
}

export async function control(client: Client, action: "cancel" | "pause" | "resume", id: string): Promise<Output> {
  const job = await client[`${action}Job`](id);
  return { value: job, text: `${job.id} ${job.status}` };
}

export async function model(
  client: Client,
  id: string,
  options: { output?: string; which: "final" | "best" },
): Promise<Output> {
  const bytes = await client.getModel(id, { which: options.which });
  const path = options.output ?? `${id}.safetensors`;
  await writeFile(path, bytes);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return { value: { path, bytes: bytes.length, sha256 }, text: path };
}

/** A YAML or JSON document; JSON is YAML too. `-` is the standard input. */
async function readDocument(file: string): Promise<unknown> {
  const document: unknown = await read(file, async () =>
    parse(file === "-" ? await new Response(process.stdin as never).text() : await readFile(file, "utf8")),
  );
  if (typeof document === "object" && document !== null) return document;
  throw new Error(`${file} holds no YAML or JSON object.`);
}

/** What goes wrong with a file does not always name it. */
async function read<T>(file: string, how: (file: string) => Promise<T>): Promise<T> {
  try {
    return await how(file);
  } catch (error) {
    throw new Error(`${file} cannot be read: ${(error as Error).message}`, { cause: error });
  }
}
