/**
 * Specs of model sets: one job that trains several models of one spec. Such a spec is checked and
 * measured by the largest of its models, which is a plain job. What follows from the rows of a
 * model stays open in the spec of the set (src/sets/model-spec.ts).
 */
import { checkData, viewedTable } from "../../data/encode/check.ts";
import type { DataSpec } from "../../data/encode/encoding.ts";
import { isLanguage, partitionColumns } from "../../data/encode/features.ts";
import { ONE_KEY, partitionFaults, type KeySizes } from "../../data/encode/key-sizes.ts";
import { LANES } from "../../engine/pack/face.ts";
import type { Component } from "../../engine/plan/memory.ts";
import { beforeChoice } from "../../data/encode/where.ts";
import { targetsOf } from "../../engine/losses/targets.ts";
import type { TargetKind } from "../../engine/training.ts";
import { scheduleType } from "../../engine/schedules/learning-rate.ts";
import { faulty } from "../errors.ts";
import { givenInit } from "../schema/init.ts";
import type { ResolvedSpec, Spec } from "../schema/spec.ts";
import { mebibytes, type Fault } from "./faults.ts";
import { bounded, type Warning } from "./warnings.ts";
import { hashSpec } from "./identity.ts";
import { firstFold, foldsOf, modelsOf, type SetShape } from "./set-shape.ts";
import type { Sizes } from "./sizes.ts";
import type { Input } from "./tables.ts";

/** How many models a set may have, and how many keys. */
export const MAX_MODELS = 1_000_000;
export const MAX_KEYS = 100_000;

/** What shards take: about so long, and so many bytes of results, and so many models at most. */
const SHARD_MS = 500;
const SHARD_BYTES = 16 * 2 ** 20;
const SHARD_MODELS = 1024;

/** In answers a key has its fold and its seed too. No request may have the last name. */
const TAKEN_NAMES: readonly string[] = ["fold", "seed", "__proto__"];

/** What a set of models is made of. */
export interface NewSet {
  readonly models: number;
  /** How many models are trained together. */
  readonly shardModels: number;
  /** The model of the rows of all keys, which is trained first; null: there is none. */
  readonly pooled: Pooled | null;
  /** What a shard takes. */
  readonly workMs: number;
  readonly memoryBytes: number;
}

/** The plain job without `partition_by`, as far as it is needed to train it. */
export type Pooled = Pick<Planned, "spec" | "totalSteps" | "stateBytes" | "workMs" | "memoryBytes"> & {
  readonly sizes: Sizes;
};

/** What becomes of a spec, as far as it is another thing for a set than for its largest model. */
interface Planned {
  readonly spec: ResolvedSpec;
  readonly specSha256: string;
  readonly memoryBytes: number;
  readonly memory: Readonly<Record<Component, number>>;
  readonly stateBytes: number;
  readonly workMs: number;
  readonly totalSteps: number;
  readonly sizes: Sizes;
  readonly warnings: readonly Warning[];
  readonly set: NewSet | null;
}

type Parts = Partial<Pick<Spec, "data" | "training">>;

/** Whether a spec makes several models. */
export function isSet({ data, training }: Parts): boolean {
  return (data !== undefined && (isPartitioned(data) || foldsOf(data) > 1)) || (training?.seeds ?? 1) > 1;
}

/** Whether each value of some columns has a model. */
function isPartitioned(data: Pick<DataSpec, "partition_by">): boolean {
  return partitionColumns(data).length > 0;
}

/** Faults of settings that sets cannot have. */
export function setFaults(parts: Partial<Spec>): Fault[] {
  if (parts.data?.encoders === "shared" && !isPartitioned(parts.data)) return [NOT_SHARED];
  if (parts.init === "pooled" && parts.training?.pooled === false)
    return [{ pointer: "/init", message: 'may be "pooled" only with "pooled": true in /training' }];
  if (!isSet(parts)) return parts.training?.pooled ? [NOT_POOLED] : [];
  const { data, observe, detectors, training, schedule } = parts;
  const faults: Fault[] = [];
  const refuse = (pointer: string, message: string) => faults.push({ pointer, message });
  if (givenInit(parts)) refuse("/init", 'is for a job with one model; a set may take "pooled"');
  if (observe) refuse("/observe", "is for a job with one model: observe one of the set, as a job with data.where");
  if (detectors?.diverging.policy === "rewind")
    refuse("/detectors/diverging/policy", 'may not be "rewind" for a set of models, whose checkpoints are not kept');
  if (schedule && scheduleType(schedule).tests)
    refuse("/schedule/type", `may not be ${schedule.type}: test the rates of one model, as a job with data.where`);
  if (data !== undefined) faults.push(...dataFaults(data));
  if (training?.pooled && data !== undefined) faults.push(...pooledFaults(data));
  if (training !== undefined && training.seed > Number.MAX_SAFE_INTEGER - (training.seeds - 1))
    refuse("/training/seeds", `makes seeds above ${Number.MAX_SAFE_INTEGER}: begin with a smaller /training/seed`);
  return faults;
}

const NOT_SHARED: Fault = {
  pointer: "/data/encoders",
  message: 'may be "shared" only with data.partition_by: without it there are no keys to share encoders',
};

function dataFaults(data: Spec["data"]): Fault[] {
  const faults: Fault[] = [];
  const partitioned = isPartitioned(data);
  if (data.encoders === "shared" && foldsOf(data) > 1) {
    const message = "would know the rows that validate: with folds each model fits its own encoders";
    faults.push({ pointer: "/data/encoders", message });
  }
  if (partitioned && data.synthetic !== undefined)
    faults.push({ pointer: "/data/partition_by", message: "needs rows of a dataset, or inline ones" });
  if (isLanguage(data))
    faults.push({ pointer: "/data/text", message: "is for a job with one model, and this is a set of models" });
  const taken = partitionColumns(data).find((name) => TAKEN_NAMES.includes(name));
  if (taken !== undefined)
    faults.push({
      pointer: "/data/partition_by",
      message: `names ${taken}, a name that the key of a model cannot have: upload the dataset with another one`,
    });
  const both = partitionColumns(data).filter((name) => Object.hasOwn(data.where ?? {}, name));
  if (both.length > 0)
    faults.push({ pointer: "/data/partition_by", message: `names ${both[0]}, which has one value under data.where` });
  return faults;
}

const NOT_POOLED: Fault = {
  pointer: "/training/pooled",
  message: "is for a set with data.partition_by: without it all rows are those of one model",
};

/** Faults of a set with a pooled model. */
function pooledFaults(data: Spec["data"]): Fault[] {
  if (!isPartitioned(data)) return [NOT_POOLED];
  const faults: Fault[] = [];
  if (foldsOf(data) > 1) {
    const message = "would train on the rows that validate in each fold: leave folds out, or name one";
    faults.push({ pointer: "/training/pooled", message });
  }
  if (data.encoders !== "shared" && (data.encoders === null || typeof data.encoders !== "object")) {
    const message =
      'must be "shared" under /training/pooled, or those of a job: the weights of one model fit another only if both have the same inputs';
    faults.push({ pointer: "/data/encoders", message });
  }
  return faults;
}

export interface ModelSet {
  readonly shape: SetShape;
  largest<S extends Partial<Spec>>(parts: S): S;
}

/** Null if there are faults, or if the spec lacks a section that is needed. */
export async function setOf(parts: Partial<Spec>, input: Input, faults: Fault[]): Promise<ModelSet | null> {
  const { data, loss } = parts;
  if (!data || !loss) return null;
  const before = faults.length;
  faults.push(...columnFaults(input.content, data, targetsOf(loss)));
  if (faults.length > before) return null;
  const sizes = isPartitioned(data) ? await input.keys(data) : ONE_KEY;
  const shape = shapeOf(parts, sizes, faults);
  return shape && { shape, largest: (of) => largestModel(of, sizes) };
}

/** Those that keep the rows from being read. */
function columnFaults(content: Input["content"], data: Spec["data"], targets: TargetKind): Fault[] {
  const { table, faults } = viewedTable(content, data);
  if (faults.length > 0) return faults;
  return [...partitionFaults(table, data), ...checkData(beforeChoice(table, data), firstFold(data), targets)];
}

/** What the set is whose largest model was planned. */
export function wholeSet<P extends Planned>(
  largest: P,
  pooled: Planned | null,
  given: Spec,
  shape: SetShape,
  maxMemoryBytes: number,
): P {
  const spec = openSpec(largest.spec, given);
  const models = modelsOf(shape);
  const memoryBytes = LANES * largest.memoryBytes;
  if (memoryBytes > maxMemoryBytes) {
    const message = `makes up to ${LANES} models that are trained together take ${mebibytes(memoryBytes)} of memory; they may take ${mebibytes(maxMemoryBytes)} (RAPPEL_MAX_JOB_BYTES)`;
    throw faulty("invalid_spec", [{ pointer: "/model", message }]);
  }
  const warnings = bounded([...largest.warnings, ...pooledWarnings(given)]);
  const inShard = shardModels(largest.workMs, largest.sizes.model + largest.sizes.notes);
  return {
    ...largest,
    spec,
    specSha256: hashSpec(spec),
    memoryBytes: Math.max(memoryBytes, pooled?.memoryBytes ?? 0),
    memory: pooled !== null && pooled.memoryBytes > memoryBytes ? pooled.memory : ofLanes(largest.memory),
    stateBytes: 0,
    workMs: models * largest.workMs + (pooled?.workMs ?? 0),
    totalSteps: models,
    warnings,
    set: { models, shardModels: inShard, pooled, workMs: inShard * largest.workMs, memoryBytes },
  };
}

/** Only a column holds back the same rows in the table as in those of each key. */
function pooledWarnings({ init, data }: Spec): Warning[] {
  const isOwn = (rule: Spec["data"]["test" | "validation"]) => rule !== null && !("column" in rule);
  if (init !== "pooled" || !(isOwn(data.validation) || isOwn(data.test))) return [];
  const message =
    'begins with a model that knows rows which are held back here, because rules count the rows of a key: {"column"} holds back the same rows in both';
  return [{ pointer: "/init", code: "pooled_rows", message }];
}

function shapeOf(parts: Parts, { keys }: KeySizes, faults: Fault[]): SetShape | null {
  const { data, training } = parts;
  const before = faults.length;
  const shape = { keys, folds: data === undefined ? 1 : foldsOf(data), seeds: training?.seeds ?? 1 };
  const pointer = "/data/partition_by";
  if (keys === 0) faults.push({ pointer, message: "gives no models: no row has a value in each of these columns" });
  if (keys > MAX_KEYS)
    faults.push({ pointer, message: `gives ${keys} models, one for each value; a set may have ${MAX_KEYS} of them` });
  const models = modelsOf(shape);
  if (keys <= MAX_KEYS && models > MAX_MODELS) {
    const message = `makes a set of ${models} models (values × folds × seeds), which may have ${MAX_MODELS}`;
    faults.push({ pointer: shape.seeds > 1 ? "/training/seeds" : "/data/validation/folds", message });
  }
  return faults.length > before ? null : shape;
}

/** The spec of the model with the most rows. */
function largestModel<S extends Parts>({ data, training, ...rest }: S, { largest }: KeySizes): S {
  const key = data && isPartitioned(data) ? { where: { ...data.where, ...largest }, partition_by: null } : {};
  return {
    ...rest,
    ...(data && { data: { ...firstFold(data), ...key } }),
    ...(training && { training: { ...training, seeds: 1 } }),
  } as S;
}

/** The plain job of all rows of a set. */
export function pooledModel<S extends Parts & Pick<Partial<Spec>, "init">>({ data, training, ...rest }: S): S {
  return {
    ...rest,
    ...(data && { data: { ...data, partition_by: null } }),
    ...(training && { training: { ...training, seeds: 1, pooled: false } }),
    init: null,
  } as S;
}

/** A batch has at most the rows that train. */
export function fittingBatch<S extends Parts>(parts: S, trainRows: number): S {
  const { training } = parts;
  if (!training || training.batch_size === "full") return parts;
  return { ...parts, training: { ...training, batch_size: Math.min(training.batch_size, trainRows) } };
}

/** The spec of the set: that of its largest model, with what differs between models left open. */
function openSpec(largest: ResolvedSpec, given: Spec): ResolvedSpec {
  const { where, partition_by, validation } = given.data;
  return {
    ...largest,
    data: { ...largest.data, where, partition_by, validation },
    // Sizes that follow from the data follow from those of each model.
    model: given.model as ResolvedSpec["model"],
    schedule: given.schedule,
    training: given.training as ResolvedSpec["training"],
  };
}

/** What as many models take as are trained side by side. */
function ofLanes(memory: Readonly<Record<Component, number>>): Record<Component, number> {
  const parts = Object.entries(memory).map(([component, bytes]) => [component, LANES * bytes]);
  return Object.fromEntries(parts) as Record<Component, number>;
}

/** How many models are trained together. @param bytes those of a model's results */
function shardModels(workMs: number, bytes: number): number {
  const most = Math.min(SHARD_MS / workMs, SHARD_BYTES / bytes, SHARD_MODELS);
  return Math.max(1, Math.floor(most));
}
