/**
 * Encodes datasets for training, in helper threads, and shares them within the process. Jobs that
 * encode a dataset in the same way train on the same buffers.
 */
import type { FeatureForm } from "../../engine/plan/taken.ts";
import { dataBytes, type TargetKind, type TrainingData } from "../../engine/training.ts";
import type { TablePath } from "../beside.ts";
import type { BatchOrderInput, BatchPage } from "./batch-order.ts";
import type { Measured } from "./encode.ts";
import type { DataSpec, Encoded, Encoding, Inherited } from "./encoding.ts";
import { thisProcess, runInHelper, type Caller } from "../pool.ts";

/**
 * Encodings that no job uses any more are kept for the next job, up to this size. The latest ones
 * are kept.
 */
const KEPT_BYTES = 256 * 2 ** 20;

/** How many measurements are kept, and how long the text may be that names one. */
const KEPT_MEASUREMENTS = 500;
const MAX_KEY = 8192;

/** Finds what a job's plan needs and only the rows can show. */
export function measure(
  table: TablePath,
  data: DataSpec,
  targets: TargetKind,
  takes: FeatureForm = "float32",
  caller = thisProcess,
  inherited: Inherited | null = null,
): Promise<Measured> {
  const input = { table, data: relevantPart(data), targets, takes, inherited };
  return runInHelper("measureFile", input, caller);
}

const measurements = new Map<string, Measured>();
const measuring = new Map<string, Promise<Measured>>();

/**
 * The same for a stored table, whose path stands for its content. Jobs that are alike are measured
 * once, also those that come at the same time: the latest measurements are kept.
 */
export async function measureStored(
  table: TablePath,
  data: DataSpec,
  targets: TargetKind,
  takes: FeatureForm,
  caller: Caller | undefined,
  inherited: Inherited | null,
): Promise<Measured> {
  const key = JSON.stringify([table, relevantPart(data), targets, takes, inherited]);
  const make = () => measure(table, data, targets, takes, caller, inherited);
  const measured = measurements.get(key) ?? (await measuredOnce(key, make));
  measurements.delete(key);
  if ("sizes" in measured && key.length <= MAX_KEY) measurements.set(key, measured);
  if (measurements.size > KEPT_MEASUREMENTS) measurements.delete(measurements.keys().next().value!);
  return measured;
}

/** If somebody measures the same now, his result serves, unless it failed or he has gone. */
async function measuredOnce(key: string, make: () => Promise<Measured>): Promise<Measured> {
  const other = measuring.get(key);
  const measured = other === undefined ? null : await other.catch(() => null);
  if (measured !== null) return measured;
  const own = make();
  measuring.set(key, own);
  try {
    return await own;
  } finally {
    if (measuring.get(key) === own) measuring.delete(key);
  }
}

/** The encoding that a job has, without the encoded rows. */
export function fit(
  table: TablePath,
  data: DataSpec,
  targets: TargetKind,
  takes: FeatureForm,
  inherited: Inherited | null,
  caller: Caller,
): Promise<Encoding> {
  const input = { table, data: relevantPart(data), targets, takes, inherited };
  return runInHelper("fitFile", input, caller);
}

/** The rows of the batches of an epoch. */
export function batchesOf(
  table: TablePath,
  data: DataSpec,
  which: Omit<BatchOrderInput, "table" | "data">,
  caller: Caller,
): Promise<BatchPage> {
  return runInHelper("batchOrder", { table, data: relevantPart(data), ...which }, caller);
}

/** The path of a file stands for its content, because it contains its hash. */
export function encode(
  table: TablePath,
  data: DataSpec,
  targets: TargetKind,
  takes: FeatureForm = "float32",
  inherited: Inherited | null = null,
): Promise<Encoded> {
  const input = { table, data: relevantPart(data), targets, takes, inherited };
  return encodings.get(JSON.stringify(input), () => runInHelper("encodeFile", input, thisProcess));
}

/**
 * Leaves out what does not influence the encoding, such as the dataset's id, which differs between
 * owners of the same bytes. Adds what the specs of earlier versions lack.
 */
function relevantPart({
  target,
  features,
  exclude,
  columns,
  where,
  shape,
  weight,
  class_weight,
  window,
  text,
  validation,
  test,
  preprocess,
}: DataSpec): DataSpec {
  return {
    target,
    features,
    exclude: exclude ?? [],
    columns: columns ?? {},
    where: where ?? null,
    shape: shape ?? null,
    weight: weight ?? null,
    class_weight: class_weight ?? null,
    window: window ?? null,
    text: text ?? null,
    validation,
    test: test ?? null,
    preprocess: {
      ...preprocess,
      missing_target: preprocess.missing_target ?? "error",
      missing_indicator: preprocess.missing_indicator ?? false,
      tensor: preprocess.tensor ?? "auto",
    },
  };
}

/**
 * Shares every encoding that a job still trains on, however large it is. Of the others it keeps
 * those that were used last, up to a number of bytes. The garbage collector decides whether a job
 * still uses one: as long as someone holds the job's `TrainingData`.
 */
export class EncodingCache {
  readonly #keptBytes: number;
  readonly #pending = new Map<string, Promise<Encoded>>();
  readonly #alive = new Map<string, { readonly data: WeakRef<TrainingData>; readonly encoding: Encoding }>();
  /** In the order of their last use. */
  readonly #kept = new Map<string, TrainingData>();

  constructor(keptBytes: number) {
    this.#keptBytes = keptBytes;
  }

  async get(key: string, make: () => Promise<Encoded>): Promise<Encoded> {
    const alive = this.#alive.get(key);
    const data = alive?.data.deref();
    if (alive !== undefined && data !== undefined) {
      this.#keep(key, data);
      return { data, encoding: alive.encoding };
    }
    let pending = this.#pending.get(key);
    if (pending === undefined) {
      pending = this.#make(key, make).finally(() => this.#pending.delete(key));
      this.#pending.set(key, pending);
    }
    return pending;
  }

  async #make(key: string, make: () => Promise<Encoded>): Promise<Encoded> {
    const { data, encoding } = await make();
    for (const [other, alive] of this.#alive) if (alive.data.deref() === undefined) this.#alive.delete(other);
    this.#alive.set(key, { data: new WeakRef(data), encoding });
    this.#keep(key, data);
    return { data, encoding };
  }

  #keep(key: string, data: TrainingData): void {
    this.#kept.delete(key);
    this.#kept.set(key, data);
    let bytes = [...this.#kept.values()].reduce((sum, kept) => sum + dataBytes(kept), 0);
    for (const [oldest, kept] of this.#kept) {
      if (bytes <= this.#keptBytes) break;
      this.#kept.delete(oldest);
      bytes -= dataBytes(kept);
    }
  }
}

const encodings = new EncodingCache(KEPT_BYTES);
