// One model, one dataset, ten optimizers: how far does each get in the same number of steps, and
// how fast?
//
//     npm run compare [epochs]
//
// It posts ten jobs to the service at RAPPEL_API_URL (with the key in RAPPEL_API_KEY, if the
// service needs one). The jobs stay there, so that you can look at them. Without RAPPEL_API_URL it
// starts a temporary service. Each optimizer has a learning rate that suits it, because the default
// rates do not suit this problem for half of them. Table and curves go to stdout, everything else
// to stderr.
import { readFile } from "node:fs/promises";
import { chart } from "../../src/cli/chart.ts";
import { Client, type SpecInput } from "../../src/client/client.ts";
import type { Job } from "../../src/contract/wire/job.ts";
import type { Series } from "../../src/contract/wire/metrics.ts";
import { say, withService } from "../../scripts/own-service.ts";

const contestants: Readonly<Record<string, SpecInput["optimizer"]>> = {
  sgd: { type: "sgd", lr: 0.1, momentum: 0.9, nesterov: true },
  adagrad: { type: "adagrad", lr: 0.05 },
  rmsprop: { type: "rmsprop", lr: 0.001 },
  adam: { type: "adam", lr: 0.003 },
  adamw: { type: "adamw", lr: 0.003 },
  nadam: { type: "nadam", lr: 0.003 },
  lion: { type: "lion", lr: 0.0005 },
  adabelief: { type: "adabelief", lr: 0.003 },
  muon: { type: "muon", lr: 0.02 },
  schedule_free_adamw: { type: "schedule_free_adamw", lr: 0.01 },
};

const epochs = Number(process.argv[2] ?? 20);

/** Four fifths of the 1,797 rows train. The losses are means over an epoch. */
const spec = (name: string, dataset: string): SpecInput => ({
  name: `compare-${name}`,
  metadata: { example: "compare-optimizers" },
  data: { dataset, target: "target", validation: { every: 5 } },
  model: { layers: [{ type: "linear", out_features: 128 }, { type: "relu" }, { type: "linear" }] },
  loss: { type: "cross_entropy" },
  optimizer: contestants[name],
  training: { epochs, batch_size: 64, seed: 1, log_every_steps: 23 },
});

interface Result {
  readonly name: string;
  readonly losses: Series;
}

const COLUMNS = ["optimizer", "lr", "train loss", "valid accuracy", "seconds", "steps/s"];
const row = (cells: readonly string[]) =>
  cells.map((cell, i) => (i === 0 ? cell.padEnd(22) : cell.padStart(COLUMNS[i].length + 2))).join("");

async function compare(url: string): Promise<Result[]> {
  const client = new Client({ url, key: process.env.RAPPEL_API_KEY });
  const digits = await readFile(new URL("../digits.csv", import.meta.url));
  const { id: dataset } = await client.createDataset(digits, { name: "digits" });
  say(`Training under ${Object.keys(contestants).length} optimizers at ${url} …`);
  const names = Object.keys(contestants);
  // A first job that is not shown, so that the start of the service does not slow down the first
  // that is.
  const { id: first } = await client.createJob(spec("sgd", dataset));
  await ended(client, first);
  const posted = await Promise.all(names.map((name) => client.createJob(spec(name, dataset))));
  print(row(COLUMNS));
  const results: Result[] = [];
  for (const [i, { id }] of posted.entries()) results.push(await follow(client, names[i], id));
  return results;
}

/** Waits for the end of a job and prints its row. */
async function follow(client: Client, name: string, id: string): Promise<Result> {
  const job = await ended(client, id);
  if (job.result === null) throw new Error(`${name} ended as ${job.status}: ${job.error?.message ?? "without an error"}`);
  const { series } = await client.getMetrics(id, { names: ["train_loss"] });
  const losses = series.train_loss;
  const seconds = secondsOf(job);
  const figures = [
    String(contestants[name].lr),
    losses.values.at(-1)!.toFixed(4),
    job.result.metrics.valid_accuracy!.toFixed(4),
    seconds.toFixed(2),
    Math.round(job.result.steps / seconds).toLocaleString("en"),
  ];
  print(row([name, ...figures]));
  return { name, losses };
}

async function ended(client: Client, id: string): Promise<Job> {
  for await (const _progress of client.watch(id));
  return await client.getJob(id);
}

function secondsOf({ started_at, finished_at }: Job): number {
  return (Date.parse(finished_at!) - Date.parse(started_at!)) / 1000;
}

/** Draws the train losses, the best first. */
function draw(results: Result[]): void {
  const lastOf = ({ losses }: Result) => losses.values.at(-1)!;
  const ranked = results.toSorted((a, b) => lastOf(a) - lastOf(b));
  const curves = Object.fromEntries(ranked.map(({ name, losses }) => [name, losses]));
  const { columns, isTTY } = process.stdout;
  const colored = isTTY && process.stdout.hasColors();
  print(chart(curves, { columns: isTTY ? columns : 80, colored, logarithmic: true }));
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

const url = process.env.RAPPEL_API_URL;
const results =
  url === undefined
    ? await withService("comparison", compare)
    : await compare(url).catch((error: Error) => {
        say(`The comparison failed: ${error.message}`);
        process.exitCode = 1;
        return null;
      });
if (results !== null) draw(results);
