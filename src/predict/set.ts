/*
 * A set of models that predicts: each row by the model of its key.
 *
 * What is in memory are the numbers of the keys, and one crew for each plan that models have. A
 * model is read from the file of its shard when rows of a request need it. A crew takes its weights
 * in place of those of the model before. So a set of any size takes the memory of its keys, and
 * the time of a request grows with the models that it needs.
 *
 * A set may have a pooled model, of the rows of all keys. It predicts where no model of the key
 * does: the key is unknown, or its model failed or was skipped.
 */
import type { Fault } from "../contract/resolve/faults.ts";
import { modelsOf, type SetShape } from "../contract/resolve/set-shape.ts";
import { faulty } from "../contract/errors.ts";
import type { Job } from "../contract/wire/job.ts";
import type { Which } from "../contract/wire/prediction.ts";
import { CellReader } from "../data/columns/cell-reader.ts";
import { partitionColumns } from "../data/encode/features.ts";
import type { Reading } from "../data/reading.ts";
import type { ForwardCrew } from "../engine/crew/forward.ts";
import { numberOf, shapeOf } from "../sets/numbering.ts";
import { firstModel, type ModelPaths } from "../sets/first-model.ts";
import { SetIndex } from "../sets/set-index.ts";
import { ShardFile, type ShardModel } from "../sets/shard-file.ts";
import { Faults } from "./columns.ts";
import { KeyNumbers, OTHER_KEY } from "./keys.ts";
import { tooLarge } from "./limits.ts";
import { noLanguage, outputsOf, ServedModel, type ModelSource, type OneModel } from "./model.ts";
import type { Asked, Cell, Choice, Rows } from "./request.ts";
import { sourceOf, UNKNOWN_READING, type ModelSpec } from "./source.ts";

/** Where the models of a set are, as plain data. */
export interface SetSource extends ModelPaths {
  readonly spec: ModelSpec;
  readonly shape: SetShape;
  readonly weights_sha256: string;
}

/** @param pathOf the file of a shard by its number, or the one that lists all models */
export function setSource(
  { spec, result }: Pick<Job, "spec" | "result">,
  { models, shardModels }: { readonly models: number; readonly shardModels: number },
  pathOf: (part: number | "index") => string,
): SetSource {
  const { data, model, loss } = spec;
  const perKey = shapeOf(spec, 1);
  return {
    spec: { data, model, loss },
    shape: { ...perKey, keys: models / modelsOf(perKey) },
    shards: Array.from({ length: Math.ceil(models / shardModels) }, (_, number) => pathOf(number)),
    shardModels,
    index: pathOf("index"),
    weights_sha256: result!.weights_sha256,
  };
}

/** In place of a number: the pooled model. */
const POOLED = -1;

/** Rows by the number of the model that predicts for them. */
export type Groups = ReadonlyMap<number, readonly number[]>;

export class ServedSet {
  readonly source: SetSource;
  /** The first model that succeeded, or the pooled one; null: there is neither. */
  readonly first: ModelSource | null;
  readonly #pooled: OneModel | null;
  readonly #keys: KeyNumbers;
  readonly #crews: Crews;

  private constructor(
    { source, pooled }: { readonly source: SetSource; readonly pooled: OneModel | null },
    first: ModelSource | null,
    keys: KeyNumbers,
    crews: Crews,
  ) {
    this.source = source;
    this.first = first;
    this.#pooled = pooled;
    this.#keys = keys;
    this.#crews = crews;
  }

  /** @param mostBytes for its crews. @throws DamagedFile */
  static async open(source: SetSource, pooled: OneModel | null, mostBytes: number): Promise<ServedSet> {
    const { spec, shape, index: path } = source;
    const found = await firstModel(source);
    const first = found === null ? (pooled?.source ?? null) : sourceOf(spec, found.notes, found.sha256);
    const index = await SetIndex.open(path);
    try {
      const keys = index.keys(shape.folds * shape.seeds);
      const reader = new CellReader(first?.reading ?? UNKNOWN_READING);
      const numbers = await KeyNumbers.of(partitionColumns(spec.data), keys, { reader, takesOthers: pooled !== null });
      return new ServedSet({ source, pooled }, first, numbers, new Crews(mostBytes));
    } finally {
      await index.close();
    }
  }

  get bytes(): number {
    return this.#keys.bytes + this.#crews.bytes + (this.#pooled?.file.length ?? 0);
  }

  get reading(): Reading {
    return this.first?.reading ?? UNKNOWN_READING;
  }

  get weights_sha256(): string {
    return this.source.weights_sha256;
  }

  /**
   * The predictions as JSON texts. `turn` is called between models, and may throw to end the work.
   * @throws Problem with every fault of the rows, DamagedFile
   */
  async *predict(asked: Asked, choice: Choice, turn: () => void): AsyncGenerator<string[]> {
    const wrong = choiceFaults(this.source.shape, choice);
    if (wrong.length > 0) throw faulty("invalid_spec", wrong);
    const faults = new Faults();
    const groups = this.#grouped(asked, choice, faults);
    const answers: string[] = [];
    for await (const [model, rows] of this.models(groups)) {
      turn();
      const own = faults.of(rows);
      const served = this.serve(model, choice.which, rows.length, own);
      const encoded = await served?.encode(rows.length === asked.count ? asked : some(asked, rows), own, turn);
      if (!served || !encoded || faults.any) continue;
      // Where rows that follow each other make a sample, all of them have one key.
      let i = 0;
      for (const texts of served.answers(encoded, turn)) for (const text of texts) answers[rows[i++]] = text;
    }
    faults.settle();
    yield answers;
  }

  /** @throws Problem: a set has no model of language */
  generate(): never {
    throw noLanguage();
  }

  #grouped(asked: Asked, choice: Choice, faults: Faults): Groups {
    const groups = new Map<number, number[]>();
    const all = () => Array.from({ length: asked.count }, (_, row) => row);
    if (this.#keys.isOne) return groups.set(numberOf(this.source.shape, { ...choice, key: 0 }), all());
    if (asked.kind === "inputs") throw faulty("invalid_spec", [NO_KEY]);
    const { data } = this.source.spec;
    const columns = partitionColumns(data);
    const isAsBefore = (row: number) => columns.every((name) => asked.cell(row, name) === asked.cell(row - 1, name));
    for (let row = 0; row < asked.count; row++) {
      const number = this.modelOf((column) => asked.cell(row, column), row, choice, faults);
      if (number === null) continue;
      const rows = groups.get(number);
      if (rows !== undefined) rows.push(row);
      else groups.set(number, [row]);
      // Keys that are unknown have one model, but are not the same key.
      const isSame = groups.size === 1 && (number !== POOLED || row === 0 || isAsBefore(row));
      if (data.window === null || isSame) continue;
      faults.add(["rows", row], "has another key than the row before: send the rows of each key by themselves");
      break;
    }
    return groups;
  }

  /** The number of the model that predicts for a row; null: `faults` says why none does. */
  modelOf(
    cell: (column: string) => Cell,
    row: number,
    { fold, seed }: Pick<Choice, "fold" | "seed">,
    faults: Faults,
  ): number | null {
    const key = this.#keys.of(cell, row, faults);
    if (key === null) return null;
    return key === OTHER_KEY ? POOLED : numberOf(this.source.shape, { key, fold, seed });
  }

  /** The models of these numbers, each with what it has in `groups`. Null is the pooled one. */
  async *models(groups: Groups): AsyncGenerator<[ShardModel | null, readonly number[]]> {
    const { shards, shardModels } = this.source;
    const others = groups.get(POOLED);
    if (others !== undefined) yield [null, others];
    const numbers = [...groups.keys()].filter((number) => number !== POOLED).sort((a, b) => a - b);
    for (const [shard, wanted] of Map.groupBy(numbers, (number) => Math.floor(number / shardModels))) {
      const file = await ShardFile.open(shards[shard]);
      try {
        for await (const model of file.models(wanted)) yield [model, groups.get(model.entry.number)!];
      } finally {
        await file.close();
      }
    }
  }

  /**
   * The model or the pooled one in its place, until the next one is served. Null: `faults` says why
   * none predicts.
   * @param rows how many rows it is to predict
   */
  serve(model: ShardModel | null, which: Which, rows: number, faults: Faults): ServedModel | null {
    const pooled = this.#pooled;
    if (model === null || (pooled !== null && model.entry.status !== "succeeded"))
      return this.#crews.serve(pooled!.source, pooled!.file);
    const { status, error, number } = model.entry;
    const file = model.file(which);
    if (file !== null) return this.#crews.serve(sourceOf(this.source.spec, model.notes()!, file.sha256), file.bytes);
    const ended = status === "failed" ? "failed" : "was skipped";
    const why = status === "succeeded" ? "kept no best weights" : `${ended}: ${error!.message}`;
    for (let row = 0; row < rows; row++)
      faults.add(["rows", row], `belongs to model ${number} of the set, which ${why}`);
    return null;
  }
}

const NO_KEY: Fault = { pointer: "/inputs", message: "have no key, by which models are chosen: send rows" };

/** Why a set of this shape has no such models. */
export function choiceFaults({ folds, seeds }: SetShape, { at, fold, seed }: Choice): Fault[] {
  const fault = (name: "fold" | "seed", count: number): Fault => {
    const message = `must be below ${count}, the number of ${name}s, which are counted from 0`;
    return { pointer: at + name, message };
  };
  return [...(fold < folds ? [] : [fault("fold", folds)]), ...(seed < seeds ? [] : [fault("seed", seeds)])];
}

/** Some rows of a request. */
function some(asked: Asked, rows: readonly number[]): Rows {
  if (asked.kind === "inputs") throw new Error("Samples that are arrays have no keys.");
  return { kind: "rows", count: rows.length, cell: (row, column) => asked.cell(rows[row], column) };
}

/** A crew for each plan that models of a set have. */
class Crews {
  readonly #mostBytes: number;
  readonly #crews = new Map<string, ForwardCrew>();
  bytes = 0;

  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes;
  }

  /** The model, until the next one is served. */
  serve(source: ModelSource, file: Uint8Array): ServedModel {
    const inputs = source.inputs.map(({ encoders: _encoders, ...input }) => input);
    const plan = JSON.stringify([inputs, outputsOf(source.target)]);
    const crew = this.#crews.get(plan) ?? null;
    const served = new ServedModel(source, file, crew);
    if (crew !== null) return served;
    if (served.bytes > this.#mostBytes) throw tooLarge(served.bytes, this.#mostBytes);
    if (this.bytes + served.bytes > this.#mostBytes) {
      this.#crews.clear();
      this.bytes = 0;
    }
    this.#crews.set(plan, served.crew);
    this.bytes += served.bytes;
    return served;
  }
}
