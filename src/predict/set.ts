/*
 * A set of models that predicts: each row by the model of its key.
 *
 * What is in memory are the numbers of the keys, and one crew for each plan that models have. A
 * model is read from the file of its shard when rows of a request need it. A crew takes its weights
 * in place of those of the model before. So a set of any size takes the memory of its keys, and
 * the time of a request grows with the models that it needs.
 */
import type { SetShape } from "../contract/resolve/set-shape.ts";
import { faulty } from "../contract/errors.ts";
import type { Which } from "../contract/wire/prediction.ts";
import { CellReader } from "../data/columns/cell-reader.ts";
import { partitionColumns } from "../data/encode/features.ts";
import type { Reading } from "../data/reading.ts";
import type { ForwardCrew } from "../engine/crew/forward.ts";
import { numberOf, placeOf } from "../sets/numbering.ts";
import { SetIndex } from "../sets/set-index.ts";
import { ShardFile, type ShardModel } from "../sets/shard-file.ts";
import { Faults } from "./columns.ts";
import { KeyNumbers } from "./keys.ts";
import { tooLarge } from "./limits.ts";
import { noLanguage, outputsOf, ServedModel, type ModelSource } from "./model.ts";
import type { Asked, Choice, Rows } from "./request.ts";
import { sourceOf, UNKNOWN_READING, type ModelSpec } from "./source.ts";

/** Where the models of a set are, as plain data. */
export interface SetSource {
  readonly spec: ModelSpec;
  readonly shape: SetShape;
  /** The files of the shards, in their order, and how many models each has. */
  readonly shards: readonly string[];
  readonly shardModels: number;
  /** The file that lists all models. */
  readonly index: string;
  readonly weights_sha256: string;
}

/** The rows of a request by the number of their key. */
type Groups = ReadonlyMap<number, readonly number[]>;

export class ServedSet {
  readonly source: SetSource;
  readonly reading: Reading;
  readonly #keys: KeyNumbers;
  readonly #crews: Crews;

  private constructor(source: SetSource, reading: Reading, keys: KeyNumbers, crews: Crews) {
    this.source = source;
    this.reading = reading;
    this.#keys = keys;
    this.#crews = crews;
  }

  /** @param mostBytes for its crews. @throws DamagedFile */
  static async open(source: SetSource, mostBytes: number): Promise<ServedSet> {
    const { spec, shape, index: path } = source;
    const index = await SetIndex.open(path);
    try {
      const { entries } = await index.list({ limit: 1, after: null, status: "succeeded", sort: null });
      const reading = entries.length === 0 ? UNKNOWN_READING : await readingOf(source, entries[0].number);
      const keys = index.keys(shape.folds * shape.seeds);
      const numbers = await KeyNumbers.of(partitionColumns(spec.data), keys, new CellReader(reading));
      return new ServedSet(source, reading, numbers, new Crews(mostBytes));
    } finally {
      await index.close();
    }
  }

  get bytes(): number {
    return this.#keys.bytes + this.#crews.bytes;
  }

  get weights_sha256(): string {
    return this.source.weights_sha256;
  }

  /**
   * The predictions as JSON texts. `turn` is called between models, and may throw to end the work.
   * @throws Problem with every fault of the rows, DamagedFile
   */
  async *predict(asked: Asked, choice: Choice, turn: () => void): AsyncGenerator<string[]> {
    this.#check(choice);
    const faults = new Faults();
    const groups = this.#grouped(asked, faults);
    const answers: string[] = [];
    for await (const [model, rows] of this.#models(groups, choice)) {
      turn();
      const own = faults.of(rows);
      const served = this.#served(model, choice.which, own, rows);
      const encoded = await served?.encode(rows.length === asked.count ? asked : some(asked, rows), own, turn);
      if (!served || !encoded || faults.any) continue;
      // Where rows that follow each other make a sample, all of them have one key.
      let i = 0;
      for (const texts of served.answers(encoded, turn)) for (const text of texts) answers[rows[i++]] = text;
    }
    faults.settle();
    yield answers;
  }

  /** @throws Problem if there is no such model of a key */
  #check({ at, ...choice }: Choice): void {
    const { folds, seeds } = this.source.shape;
    const faults = (
      [
        ["fold", folds],
        ["seed", seeds],
      ] as const
    ).flatMap(([name, count]) =>
      choice[name] < count
        ? []
        : [
            {
              pointer: at + name,
              message: `must be below ${count}: each key of the set has ${count} ${name}s, counted from 0`,
            },
          ],
    );
    if (faults.length > 0) throw faulty("invalid_spec", faults);
  }

  /** @throws Problem: a set has no model of language */
  generate(): never {
    throw noLanguage();
  }

  #grouped(asked: Asked, faults: Faults): Groups {
    const groups = new Map<number, number[]>();
    if (this.#keys.isOne)
      return groups.set(
        0,
        Array.from({ length: asked.count }, (_, row) => row),
      );
    if (asked.kind === "inputs")
      throw faulty("invalid_spec", [
        { pointer: "/inputs", message: "have no key, by which models are chosen: send rows" },
      ]);
    const { window } = this.source.spec.data;
    for (let row = 0; row < asked.count; row++) {
      const key = this.#keys.of((column) => asked.cell(row, column), row, faults);
      if (key === null) continue;
      const rows = groups.get(key);
      if (rows !== undefined) rows.push(row);
      else groups.set(key, [row]);
      if (window === null || groups.size === 1) continue;
      faults.add(
        ["rows", row],
        "has another key than the row before: send the rows of each key in a request of its own",
      );
      break;
    }
    return groups;
  }

  /** The models that rows need, in the order of their numbers. */
  async *#models(groups: Groups, { fold, seed }: Choice): AsyncGenerator<[ShardModel, readonly number[]]> {
    const { shape, shards, shardModels } = this.source;
    const numbers = [...groups.keys()].sort((a, b) => a - b).map((key) => numberOf(shape, { key, fold, seed }));
    const byShard = Map.groupBy(numbers, (number) => Math.floor(number / shardModels));
    for (const [shard, wanted] of byShard) {
      const file = await ShardFile.open(shards[shard]);
      try {
        for await (const model of file.models(wanted))
          yield [model, groups.get(placeOf(shape, model.entry.number).key)!];
      } finally {
        await file.close();
      }
    }
  }

  /** Null: `faults` says why the model does not predict. */
  #served(model: ShardModel, which: Which, faults: Faults, rows: readonly number[]): ServedModel | null {
    const { status, error, number } = model.entry;
    const file = model.file(which);
    if (file !== null) return this.#crews.serve(sourceOf(this.source.spec, model.notes()!, file.sha256), file.bytes);
    const why =
      status === "succeeded"
        ? "kept no best weights"
        : `${status === "failed" ? "failed" : "was skipped"}: ${error!.message}`;
    for (let i = 0; i < rows.length; i++)
      faults.add(["rows", i], `belongs to model ${number} of the set, which ${why}`);
    return null;
  }
}

async function readingOf({ spec, shards, shardModels }: SetSource, number: number): Promise<Reading> {
  const file = await ShardFile.open(shards[Math.floor(number / shardModels)]);
  try {
    const model = await file.model(number);
    return sourceOf(spec, model.notes()!, model.file("final")!.sha256).reading;
  } finally {
    await file.close();
  }
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
