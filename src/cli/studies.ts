/** The commands about studies. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "../client/client.ts";
import type { StudyInput } from "../client/study-calls.ts";
import type { Study } from "../contract/wire/study.ts";
import { blobOf, nameOf, readDocument } from "./commands.ts";
import type { Output } from "./output.ts";

const POLL_MS = 500;

export async function submitStudy(
  client: Client,
  file: string,
  options: { data?: string; watch?: boolean },
): Promise<Output> {
  const asked = (await readDocument(file)) as StudyInput & { spec?: { data?: object } };
  if (options.data !== undefined) {
    const { id } = await client.createDataset(await blobOf(options.data), { name: nameOf(options.data) });
    asked.spec = { ...asked.spec, data: { ...asked.spec?.data, dataset: id } };
  }
  const study = await client.createStudy(asked);
  if (!options.watch) return { value: study, text: study.id };
  process.stderr.write(`${study.id}\n`);
  return await watchStudy(client, study.id);
}

/** Writes a line whenever trials have ended, up to the end of the study. */
export async function watchStudy(client: Client, id: string): Promise<Output> {
  let shown = "";
  for (;;) {
    const study = await client.getStudy(id);
    const line = lineOf(study);
    if (line !== shown) process.stderr.write(`${line}\n`);
    shown = line;
    const { status } = study;
    if (status === "succeeded" || status === "failed" || status === "cancelled")
      return { value: study, text: bestText(study), ended: status };
    await sleep(POLL_MS);
  }
}

export async function extendStudy(client: Client, id: string, trials: number): Promise<Output> {
  const study = await client.extendStudy(id, trials);
  return { value: study, text: lineOf(study) };
}

export async function bestOfStudy(client: Client, id: string): Promise<Output> {
  const study = await client.getStudy(id);
  return { value: study.best, text: bestText(study), refused: study.best === null };
}

function lineOf({ status, objective, best, waiting_for, trials: { total, ended, pruned, failed } }: Study): string {
  const counts = [`trial ${ended}/${total}`, `pruned ${pruned}`, `failed ${failed}`];
  const found = best === null ? [] : [`best ${objective} ${best.value.toPrecision(5)} (trial ${best.trial})`];
  return [
    ...counts,
    ...found,
    ...(status === "running" ? [] : [status]),
    ...(waiting_for === null ? [] : [waiting_for]),
  ].join("  ");
}

function bestText({ objective, best }: Study): string {
  if (best === null) return "No trial has succeeded.";
  const values = Object.entries(best.values).map(([pointer, value]) => `${pointer}\t${JSON.stringify(value)}`);
  return [`trial\t${best.trial}`, `job\t${best.job}`, `${objective}\t${best.value}`, ...values].join("\n");
}
