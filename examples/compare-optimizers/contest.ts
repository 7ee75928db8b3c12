// What is compared, and how the figures are made: a study that tunes each optimizer, and then jobs
// with other seeds at the rate that the study found.
import { setTimeout as sleep } from "node:timers/promises";
import type { Client, SpecInput } from "../../src/client/client.ts";
import type { Job } from "../../src/contract/wire/job.ts";

export const contestants: Readonly<Record<string, SpecInput["optimizer"]>> = {
  sgd: { type: "sgd", momentum: 0.9, nesterov: true },
  adagrad: { type: "adagrad" },
  rmsprop: { type: "rmsprop" },
  adam: { type: "adam" },
  adamw: { type: "adamw" },
  nadam: { type: "nadam" },
  lion: { type: "lion" },
  adabelief: { type: "adabelief" },
  muon: { type: "muon" },
  schedule_free_adamw: { type: "schedule_free_adamw" },
};

export interface Settings {
  readonly epochs: number;
  /** How many rates each optimizer may try. */
  readonly trials: number;
  /** How many models of each optimizer are compared. */
  readonly seeds: number;
}

/** The rates among which each optimizer searches. */
const RATES: [number, number] = [1e-5, 10];
/** The jobs that are compared begin with this seed, so that none has one of the tuning. */
const FIRST_SEED = 1000;
const POLL_MS = 200;

/** The value of a figure after each epoch. Null: a model had diverged by then. */
export interface Curve {
  readonly steps: number[];
  readonly values: (number | null)[];
}

export interface Run {
  readonly job: string;
  readonly seed: number;
  /** Of the rows that neither trained the model nor chose the rate. Null: it diverged. */
  readonly loss: number | null;
  readonly accuracy: number | null;
  readonly milliseconds_per_step: number;
  /** The loss on the rows that choose the rate, which is known after each epoch. */
  readonly curve: Curve;
}

export interface Entry {
  readonly name: string;
  readonly lr: number;
  readonly study: string;
  /** The rates that were tried; null: it diverged. */
  readonly tried: readonly { readonly lr: number; readonly loss: number | null }[];
  readonly runs: readonly Run[];
}

/** A quarter of the rows is for the test, and of the rest a fifth for the choice of the rate. */
function specOf(name: string, dataset: string, epochs: number): SpecInput {
  return {
    name: `compare-${name}`,
    metadata: { example: "compare-optimizers" },
    data: { dataset, target: "target", test: { every: 4 }, validation: { every: 5 } },
    model: { layers: [{ type: "linear", out_features: 128 }, { type: "relu" }, { type: "linear" }] },
    loss: { type: "cross_entropy" },
    optimizer: contestants[name],
    training: { epochs, batch_size: 64, seed: 1 },
  };
}

/** The optimizers search at the same time. Their studies take turns. */
export async function compare(client: Client, dataset: string, settings: Settings): Promise<Entry[]> {
  const names = Object.keys(contestants);
  const tuned = await Promise.all(names.map((name) => tune(client, name, dataset, settings)));
  const runs = names.map((): Run[] => []);
  // All optimizers run their first model, then all their second: so the times are comparable.
  for (let seed = FIRST_SEED; seed < FIRST_SEED + settings.seeds; seed++) {
    const specs = tuned.map(({ name, lr }) => {
      const { optimizer, training, ...rest } = specOf(name, dataset, settings.epochs);
      return { ...rest, optimizer: { ...optimizer, lr }, training: { ...training, seed } };
    });
    const round = await Promise.all(specs.map((spec) => runOf(client, spec, seed)));
    for (const [i, run] of round.entries()) runs[i].push(run);
  }
  return tuned.map((entry, i) => ({ ...entry, runs: runs[i] }));
}

async function tune(client: Client, name: string, dataset: string, { epochs, trials }: Settings) {
  const { id } = await client.createStudy({
    name: `compare-${name}`,
    spec: specOf(name, dataset, epochs),
    space: { "/optimizer/lr": { log_uniform: RATES } },
    trials,
    parallel: 4,
  });
  for (;;) {
    const { status, best, finished_at } = await client.getStudy(id);
    if (finished_at !== null && best === null) throw new Error(`${name}: the study ended as ${status}`);
    if (finished_at !== null && best !== null) {
      const tried = (await triedIn(client, id)).map(({ values, value }) => ({ lr: rateIn(values), loss: value }));
      return { name, study: id, lr: rateIn(best.values), tried: tried.toSorted((a, b) => a.lr - b.lr) };
    }
    await sleep(POLL_MS);
  }
}

const rateIn = (values: Readonly<Record<string, unknown>>): number => Number(values["/optimizer/lr"]);

async function triedIn(client: Client, id: string) {
  const trials = [];
  let page = await client.listTrials(id, { limit: 100 });
  for (;;) {
    trials.push(...page.data);
    if (!page.has_more) return trials;
    page = await client.listTrials(id, { limit: 100, after: page.next! });
  }
}

async function runOf(client: Client, spec: SpecInput, seed: number): Promise<Run> {
  const { id } = await client.createJob(spec);
  for await (const _progress of client.watch(id));
  const job = await client.getJob(id);
  if (job.status !== "succeeded" && job.error?.code !== "diverged")
    throw new Error(`${id} ended as ${job.status}: ${job.error?.message ?? "without an error"}`);
  const { series } = await client.getMetrics(id, { names: ["valid_loss"] });
  const { test_loss: loss = null, test_accuracy: accuracy = null } = job.result?.metrics ?? {};
  // A model that diverged at once was never evaluated.
  const { steps, values } = series.valid_loss ?? { steps: [], values: [] };
  return { job: id, seed, loss, accuracy, milliseconds_per_step: stepMs(job), curve: { steps, values } };
}

function stepMs({ started_at, finished_at, progress }: Job): number {
  return (Date.parse(finished_at!) - Date.parse(started_at!)) / Math.max(1, progress.step);
}
