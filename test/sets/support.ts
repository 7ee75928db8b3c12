// Sets of models over tables of CSV, and the plain jobs that must give the same.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { withDerived } from "../../src/contract/resolve/derived.ts";
import { Spec } from "../../src/contract/schema/spec.ts";
import { trainingJob } from "../../src/contract/training-job.ts";
import { encode, measure } from "../../src/data/encode/encoding-cache.ts";
import { planFor } from "../../src/engine/crew/load.ts";
import { keptModels, modelFile } from "../../src/engine/state/model-files.ts";
import type { Fault } from "../../src/contract/resolve/faults.ts";
import { averagingFaults, undefinedFaults } from "../../src/contract/resolve/rows-faults.ts";
import { divergenceOf } from "../../src/engine/crew/outcome.ts";
import { stepsPerEpoch } from "../../src/engine/job.ts";
import { nativeSets, type KernelChoice } from "../../src/engine/kernels/native.ts";
import { targetsOf } from "../../src/engine/losses/targets.ts";
import { takenBy } from "../../src/engine/plan/taken.ts";
import { partitionTable, type PartitionedTable } from "../../src/data/encode/partitioned-table.ts";
import { ShardFile, type ShardModel } from "../../src/sets/shard-file.ts";
import { trainShard, type Shard, type ShardHooks } from "../../src/sets/train-shard.ts";
import { dataset } from "../data/support.ts";
import { train } from "../support/training.ts";

export type Changes = Readonly<Record<string, unknown>>;

const linear = (outputs: number | null) => ({ type: "linear", out_features: outputs });

/** A spec as it stands in a request, with other sections in place of some. */
export function specOf(changes: Changes = {}): Spec {
  const { data, training, ...rest } = changes as Record<string, object>;
  return Spec.parse({
    data: { dataset: `ds_${"0".repeat(26)}`, target: "y", ...data },
    model: { layers: [linear(5), { type: "relu" }, linear(null)] },
    loss: { type: "cross_entropy" },
    optimizer: { type: "adam", lr: 0.01 },
    training: { epochs: 3, batch_size: 8, seed: 5, ...training },
    ...rest,
  });
}

/** Numbers that look random. */
export function noise(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}

/** The path of the columns of a table. */
export async function tableOf(content: string | Buffer): Promise<string> {
  const { files, content: read } = await dataset(content);
  return files.columnsPath(read);
}

export const choices: readonly KernelChoice[] = nativeSets().length > 0 ? ["wasm", "native"] : ["wasm"];

export async function directory(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "rappel-sets-"));
  onTestFinished(() => rm(path, { recursive: true }));
  return path;
}

/** What models take over. */
export type Taken = Pick<Shard, "inherited" | "start">;
export const NOTHING: Taken = { inherited: null, start: null };

/** Trains a set, cut before each of these numbers. Returns the paths of the files. */
export async function trainSet(
  path: string,
  spec: Spec,
  cuts: readonly number[] = [],
  kernels: KernelChoice = "wasm",
  hooks: ShardHooks = { async turn() {}, ended() {} },
  taken: Taken = NOTHING,
): Promise<{ paths: string[]; table: PartitionedTable }> {
  const table = await partitionTable(path, spec.data);
  const { validation } = spec.data;
  const folds = validation !== null && "folds" in validation && validation.fold === undefined ? validation.folds : 1;
  const shape = { keys: table.keys, folds, seeds: spec.training.seeds };
  const ends = [...cuts, table.keys * folds * spec.training.seeds];
  const to = await directory();
  const paths: string[] = [];
  for (const [i, end] of ends.entries()) {
    const shard: Shard = { spec, table, shape, from: ends[i - 1] ?? 0, to: end, ...taken, kernels };
    const file = join(to, `${i}`);
    await trainShard(shard, file, hooks);
    paths.push(file);
  }
  return { paths, table };
}

export async function modelsIn(paths: readonly string[]): Promise<ShardModel[]> {
  const models: ShardModel[] = [];
  for (const path of paths) {
    const file = await ShardFile.open(path);
    for await (const model of file.models()) models.push(model);
    await file.close();
  }
  return models;
}

/** What a plain job gives on rows that were encoded for it alone, as a crew trains it. */
export async function plain(path: string, asked: Spec, { inherited, start }: Taken = NOTHING) {
  const { loss, model } = asked;
  const [targets, takes] = [targetsOf(loss), takenBy(model.layers)];
  const measured = await measure(path, asked.data, targets, takes, undefined, inherited);
  if ("faults" in measured) return refused(measured.faults);
  const { train: rows, validated } = measured.sizes;
  const { data, encoding } = await encode(path, asked.data, targets, takes, inherited);
  const { batch_size: batch } = asked.training;
  const training = { ...asked.training, batch_size: batch === "full" ? batch : Math.min(batch, rows) };
  const perEpoch = stepsPerEpoch(training, rows);
  const total = perEpoch * training.epochs;
  const spec = withDerived({ ...asked, training }, { total, perEpoch });
  const job = trainingJob(spec, data);
  const facts = { targets: validated, isScored: planFor(job, 1).scoresPerTarget > 0 };
  const classes = data.target.classes?.length ?? null;
  const faults = [...averagingFaults(training, total), ...undefinedFaults(spec, classes, facts)];
  if (faults.length > 0) return refused(faults);
  const { outcome, weights, state } = await train(job, { kernels: "wasm", weights: start });
  if (outcome.type === "stopped") throw new Error("nobody stopped it");
  if (outcome.type === "diverged")
    return { status: "failed" as const, error: { code: "diverged", ...divergenceOf(outcome), step: outcome.step } };
  const { step: steps, epochs, best, type: stop_reason } = outcome;
  const kept = keptModels(job.keepBest, best).includes("best");
  const bestWeights = kept ? modelFile(state!.bytes, "best").sha256 : null;
  const metrics = throughJson(outcome.metrics);
  const ended = { steps, epochs, best, stop_reason, metrics, encoding: throughJson(encoding) };
  const file = () => modelFile(state!.bytes, "final").bytes;
  return { status: "succeeded" as const, error: null, weights, bestWeights, file, ...ended };
}

function refused(faults: readonly Fault[]) {
  const message = faults.map(({ pointer, message: why }) => `${pointer} ${why}.`).join(" ");
  return { status: "skipped" as const, error: { code: "invalid_spec", message, suggestion: null, step: null } };
}

const throughJson = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;
