/*
 * Trains the models of a shard on the present thread, and writes them to its file.
 *
 * Models are encoded some at a time, and those that are alike are trained side by side
 * (engine/pack). Each has the bytes of the plain job: the same code encodes its rows, makes its
 * spec and trains it. A model that cannot be trained, or that diverges, is told in the file, and
 * the others go on.
 */
import { averagingFaults, undefinedFaults } from "../contract/resolve/rows-faults.ts";
import { trainingJob, type TrainingSpec } from "../contract/training-job.ts";
import { layersOf, type ModelNotes } from "../contract/model-notes.ts";
import { encodeRows, Unfit, type EncodedRows, type EncodeInput } from "../data/encode/encode.ts";
import type { Encoding, Inherited } from "../data/encode/encoding.ts";
import type { TargetFacts } from "../engine/metrics/metric.ts";
import type { Plan } from "../engine/plan/model.ts";
import { stepsPerEpoch, type TrainingJob } from "../engine/job.ts";
import { divergenceOf } from "../engine/crew/outcome.ts";
import type { KernelChoice } from "../engine/kernels/native.ts";
import { targetsOf } from "../engine/losses/targets.ts";
import { packJob, trainPack, type PackJob } from "../engine/pack/train.ts";
import type { Trained } from "../engine/pack/recorder.ts";
import { PlanError } from "../engine/plan/faults.ts";
import { takenBy } from "../engine/plan/taken.ts";
import { dataBytes } from "../engine/training.ts";
import { modelData, modelSpec, type SetSpec } from "./model-spec.ts";
import type { SetShape } from "../contract/resolve/set-shape.ts";
import { placeOf, type ModelPlace } from "./numbering.ts";
import type { Key } from "../data/encode/keys.ts";
import { keyOf, KeyTables, rowsOfKey, type PartitionedTable } from "../data/encode/partitioned-table.ts";
import { addTo, type Moments } from "./distribution.ts";
import { ShardWriter, type KeptModel, type ModelEntry, type ModelError } from "./shard-file.ts";

/** How long it trains before the event loop has a turn. */
const TURN_MS = 10;

/**
 * Models that are encoded at a time, and the bytes that they may take together. Where keys have
 * unequal numbers of rows, more of them at a time means more that are alike.
 */
const CHUNK_MODELS = 512;
const CHUNK_BYTES = 2 ** 25;

/** Plans that are kept for the models that follow. */
const KEPT_PLANS = 64;

export interface Shard {
  readonly spec: SetSpec;
  readonly table: PartitionedTable;
  readonly shape: SetShape;
  /** The models with these numbers, without the last. */
  readonly from: number;
  readonly to: number;
  /** Encoders that all models take over; null: each fits its own. */
  readonly inherited: Inherited | null;
  /** The model file of the pooled model, with whose weights all begin; null: random ones. */
  readonly start: Uint8Array | null;
  readonly kernels: KernelChoice;
}

export interface ShardHooks {
  /** Gives the event loop a turn. If it throws, the shard is given up. */
  turn(): Promise<void>;
  /** Told from time to time how many models have ended. */
  ended(models: number): void;
}

export interface ShardResult {
  readonly sha256: string;
  readonly bytes: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly skipped: number;
  /** Of the models that succeeded, by metric. */
  readonly metrics: Readonly<Record<string, Moments>>;
}

/** Writes the shard's file to `path`, which must not be there. @throws what `hooks.turn` throws */
export async function trainShard(shard: Shard, path: string, hooks: ShardHooks): Promise<ShardResult> {
  const writer = await ShardWriter.create(path, shard.from);
  try {
    const training = new ShardTraining(shard, writer, hooks);
    await training.run();
    return { ...(await writer.end()), ...training.counts, metrics: training.metrics };
  } finally {
    await writer.close();
  }
}

/** A model that is to be trained, or has ended without. */
interface Model {
  readonly entry: ModelEntry;
  readonly work: (PackJob & { readonly encoding: Encoding }) | null;
}

class ShardTraining {
  readonly counts = { succeeded: 0, failed: 0, skipped: 0 };
  readonly metrics: Record<string, Moments> = {};
  readonly #shard: Shard;
  /** As the models are trained. */
  readonly #spec: SetSpec;
  readonly #writer: ShardWriter;
  readonly #hooks: ShardHooks;
  readonly #tables: KeyTables;
  readonly #input: Omit<EncodeInput, "table" | "data">;
  readonly #plans = new Map<string, Omit<PackJob, "job">>();
  readonly #layers = new WeakMap<object, ModelNotes["layers"]>();
  /** The rows of the last model. Those of another seed are the same. */
  #rows: { readonly key: number; readonly fold: number; readonly encoded: EncodedRows | ModelError } | null = null;
  #turnedAt = performance.now();
  #ended = 0;

  constructor(shard: Shard, writer: ShardWriter, hooks: ShardHooks) {
    const { spec, table, inherited } = shard;
    this.#shard = shard;
    this.#spec = { ...spec, detectors: thoseThatEnd(spec.detectors) };
    this.#writer = writer;
    this.#hooks = hooks;
    this.#tables = new KeyTables(table);
    this.#input = { targets: targetsOf(spec.loss), takes: takenBy(spec.model.layers), inherited };
  }

  async run(): Promise<void> {
    const { from, to } = this.#shard;
    for (let next = from; next < to;) {
      const chunk = await this.#prepareChunk(next);
      this.#end(chunk.filter(({ work }) => work === null).length);
      await this.#trainChunk(chunk);
      await this.#writer.flush();
      next += chunk.length;
    }
  }

  #end(models: number): void {
    this.#ended += models;
    this.#hooks.ended(this.#ended);
  }

  async #prepareChunk(first: number): Promise<Model[]> {
    const models: Model[] = [];
    let bytes = 0;
    for (let number = first; number < this.#shard.to && models.length < CHUNK_MODELS; number++) {
      const model = await this.#prepare(number);
      models.push(model);
      if (model.work !== null) bytes += dataBytes(model.work.job.data) + model.work.plan.addresses.stateBytes;
      if (bytes > CHUNK_BYTES) break;
      if (this.#due()) await this.#turn();
    }
    return models;
  }

  async #trainChunk(models: readonly Model[]): Promise<void> {
    const works = models.flatMap(({ work }) => work ?? []);
    const pack = trainPack(works, {
      choice: this.#shard.kernels,
      start: this.#shard.start,
      onlyModels: true,
      due: () => this.#due(),
      ended: (models) => this.#end(models),
    });
    let step = pack.next();
    for (; !step.done; step = pack.next()) await this.#turn();
    const trained = step.value;
    let at = 0;
    for (const { entry, work } of models) {
      if (work === null) this.#add(entry, null);
      else this.#addTrained(entry, work, trained[at++]);
    }
  }

  #addTrained(entry: ModelEntry, { plan, encoding }: NonNullable<Model["work"]>, { outcome, file }: Trained): void {
    if (outcome.type === "stopped") throw new Error("Nobody stops a model of a set.");
    if (outcome.type === "diverged") {
      const error = { code: "diverged", ...divergenceOf(outcome), step: outcome.step };
      return this.#add({ ...entry, status: "failed", error, steps: outcome.step }, null);
    }
    const { models } = file!;
    const layers = this.#layers.get(plan) ?? layersOf(plan);
    this.#layers.set(plan, layers);
    const { step: steps, epochs, type: stop_reason, metrics, best } = outcome;
    const ended = { steps, epochs, stop_reason, metrics, best, weights_sha256: models[0].sha256 };
    this.#add({ ...entry, status: "succeeded", ...ended }, { layers, encoding, models });
  }

  #add(entry: ModelEntry, kept: KeptModel | null): void {
    this.counts[entry.status]++;
    for (const [name, value] of Object.entries(entry.metrics))
      if (value !== null && Number.isFinite(value)) this.metrics[name] = addTo(this.metrics[name], value);
    this.#writer.add(entry, kept);
  }

  async #prepare(number: number): Promise<Model> {
    const { spec, shape, table } = this.#shard;
    const place = placeOf(shape, number);
    const key = keyOf(table, place.key);
    const entry = entryOf(number, key, place, rowsOfKey(table, place.key));
    const minRows = spec.data.min_rows;
    if (spec.data.partition_by !== null && entry.rows < minRows)
      return skipped(entry, "too_few_rows", `The key has ${rowsText(entry.rows)}, and /data/min_rows is ${minRows}.`);
    const data = modelData(spec, key, place.fold);
    const encoded = await this.#encode(place, data);
    if ("code" in encoded) return { entry: { ...entry, error: encoded }, work: null };
    const own = modelSpec(this.#spec, data, place, encoded.data.trainRows.length);
    const job = trainingJob(own, encoded.data);
    try {
      const planned = this.#planned(job);
      const faults = rowsFaults(own, job, planned.plan, encoded.validated);
      if (faults.length > 0) return skipped(entry, "invalid_spec", faultsText(faults));
      return { entry, work: { job, ...planned, encoding: encoded.encoding } };
    } catch (error) {
      if (!(error instanceof PlanError)) throw error;
      return skipped(entry, "invalid_spec", faultsText(error.faults));
    }
  }

  /** Models with as many rows and inputs have one plan. @throws PlanError */
  #planned(job: TrainingJob): Omit<PackJob, "job"> {
    const { inputs, trainRows, validRows, testRows } = job.data;
    const taken = inputs.map(({ values: _values, step: _step, ...input }) => input);
    const text = JSON.stringify([trainRows.length, validRows.length, testRows.length, taken]);
    const known = this.#plans.get(text);
    if (known !== undefined) return known;
    const { plan, key } = packJob(job);
    if (this.#plans.size >= KEPT_PLANS) this.#plans.clear();
    this.#plans.set(text, { plan, key });
    return { plan, key };
  }

  async #encode({ key, fold }: ModelPlace, data: SetSpec["data"]): Promise<EncodedRows | ModelError> {
    if (this.#rows?.key === key && this.#rows.fold === fold) return this.#rows.encoded;
    const encoded = await encodeRows(this.#tables.of(key), { ...this.#input, data }).catch((error: unknown) => {
      if (!(error instanceof Unfit)) throw error;
      return { code: "invalid_spec", message: faultsText(error.faults), suggestion: null, step: null };
    });
    this.#rows = { key, fold, encoded };
    return encoded;
  }

  #due(): boolean {
    return performance.now() - this.#turnedAt >= TURN_MS;
  }

  async #turn(): Promise<void> {
    await this.#hooks.turn();
    this.#turnedAt = performance.now();
  }
}

/** Nobody reads warnings on a model of a set. */
function thoseThatEnd(detectors: SetSpec["detectors"]): SetSpec["detectors"] {
  const ending = Object.entries(detectors).filter(([, { policy }]) => policy !== "warn");
  return Object.fromEntries(ending) as SetSpec["detectors"];
}

/** What a plain job would be told when it is posted. */
function rowsFaults(spec: TrainingSpec, { training, data }: TrainingJob, plan: Plan, targets: TargetFacts | null) {
  const steps = training.epochs * stepsPerEpoch(training, data.trainRows.length);
  const facts = { targets, isScored: plan.scoresPerTarget > 0 };
  return [
    ...averagingFaults(spec.training, steps),
    ...undefinedFaults(spec, data.target.classes?.length ?? null, facts),
  ];
}

function entryOf(number: number, key: Key, { fold, seed }: ModelPlace, rows: number): ModelEntry {
  return {
    number,
    key,
    fold,
    seed,
    status: "skipped",
    error: null,
    rows,
    steps: null,
    epochs: null,
    stop_reason: null,
    metrics: {},
    best: null,
    weights_sha256: null,
  };
}

function skipped(entry: ModelEntry, code: string, message: string): Model {
  return { entry: { ...entry, error: { code, message, suggestion: null, step: null } }, work: null };
}

const rowsText = (rows: number): string => (rows === 1 ? "1 row" : `${rows} rows`);

function faultsText(faults: readonly { readonly pointer: string; readonly message: string }[]): string {
  return faults.map(({ pointer, message }) => `${pointer} ${message}.`).join(" ");
}
