/*
 * Predicts with a set of models from all rows of a dataset: each by the model of its key, or by the
 * one that did not train on it. Where a key has no model the pooled one predicts, if there is one.
 * A block of rows is read, and then the models that it needs, one after the other. Blocks are
 * large, so that a model is read once for many of its rows.
 */
import { crashPoint } from "../crash-point.ts";
import type { TablePath } from "../data/beside.ts";
import { keepsTexts } from "../data/dataset.ts";
import { partitionColumns } from "../data/encode/features.ts";
import { foldsOfRows, NO_FOLD } from "../data/encode/out-of-fold.ts";
import type { Columns } from "../data/files/beside-files.ts";
import type { RowTexts } from "../data/text/texts.ts";
import { size } from "../engine/member/shape.ts";
import { columnsOf, RawBlock } from "./blocks.ts";
import { Faults } from "./columns.ts";
import { linesFor, NUMBER_BYTES, type Cells, type Lines } from "./lines.ts";
import type { ModelSource, OneModel, ServedModel } from "./model.ts";
import type { Choice } from "./request.ts";
import { ServedSet, type Groups, type SetSource } from "./set.ts";

const MOST_ROWS = 65_536;
/** Fewer rows at a time where these would take more. */
const MOST_BYTES = 16 * 2 ** 20;
/** For the crews of models that have different plans. */
const MOST_CREW_BYTES = 2 ** 28;

export interface SetBatch {
  readonly set: SetSource;
  /** Predicts where no model of a key does; null: there is none. */
  readonly pooled: OneModel | null;
  readonly choice: Omit<Choice, "at">;
  /** Whether each row is predicted by the model of the fold that it validates in. */
  readonly outOfFold: boolean;
}

/** @param first a model of the set */
export function linesOfSet(first: ModelSource, { data }: Pick<SetSource["spec"], "data">, outOfFold: boolean): Lines {
  return linesFor(first, outOfFold ? ["row", ...partitionColumns(data), "fold"] : []);
}

/**
 * The most bytes that the CSV for so many rows takes.
 * @param first a model of the set
 * @param keyBytes of the longest key as JSON
 */
export function mostBytesOfSet(
  first: ModelSource,
  { spec, outOfFold, keyBytes }: { spec: SetSource["spec"]; outOfFold: boolean; keyBytes: number },
  rows: number,
): number {
  const { header, maxBytes } = linesOfSet(first, spec, outOfFold);
  const places = outOfFold ? keyBytes + 2 * (NUMBER_BYTES + 1) : 0;
  return Buffer.byteLength(header) + rows * (maxBytes + places);
}

interface Input {
  readonly table: TablePath;
  /** Of the table. */
  readonly columns: Columns;
  readonly blockRows?: number;
}

export async function* textsOfSet(
  { set, pooled, choice, outOfFold }: SetBatch,
  { table, columns, blockRows = MOST_ROWS }: Input,
  done: (rows: number) => void,
): AsyncGenerator<string[]> {
  const { rows } = columns.content;
  const served = await ServedSet.open(set, pooled, MOST_CREW_BYTES);
  if (served.first === null) throw new Error("No model of the set succeeded.");
  const folds = outOfFold ? await foldsOfRows(table, set.spec.data, rows) : null;
  const lines = linesOfSet(served.first, set.spec, outOfFold);
  const cells = await CellBlock.open(columns, partitionColumns(set.spec.data), columnsOf(served.first.inputs));
  const batch = new BlockPredictions(served, choice, folds, cells, lines);
  // What is read, what a model takes of it, and what is written.
  const encoded = served.first.inputs.reduce((sum, { shape }) => sum + 4 * size(shape), 0);
  const most = MOST_BYTES / (cells.block.rowBytes + encoded + lines.maxBytes);
  const step = Math.max(1, Math.min(blockRows, Math.floor(most)));
  yield [lines.header];
  for (let first = 0; first < rows; first += step) {
    const count = Math.min(step, rows - first);
    await cells.next(count);
    const written = await batch.of(first, count);
    crashPoint("mid-prediction");
    yield written;
    done(first + count);
  }
}

class BlockPredictions {
  readonly #set: ServedSet;
  readonly #choice: SetBatch["choice"];
  /** The fold that each row of the dataset validates in; null: none is out of fold. */
  readonly #folds: Int32Array | null;
  readonly #cells: CellBlock;
  readonly #lines: Lines;
  readonly #memories: SharedArrayBuffer[] = [];

  constructor(set: ServedSet, choice: SetBatch["choice"], folds: Int32Array | null, cells: CellBlock, lines: Lines) {
    this.#set = set;
    this.#choice = choice;
    this.#folds = folds;
    this.#cells = cells;
    this.#lines = lines;
  }

  /** The lines of a block, in the order of its rows. @throws Problem with the faults of some */
  async of(first: number, count: number): Promise<string[]> {
    const faults = new Faults((row) => first + row);
    const groups = this.#grouped(first, count, faults);
    faults.settle();
    const texts: string[] = [];
    for await (const [model, rows] of this.#set.models(groups)) {
      // Rows whose model failed or was skipped have no line, as those that validate no model.
      if (this.#folds !== null && model?.entry.status !== "succeeded") continue;
      const own = faults.of(rows);
      const served = this.#set.serve(model, this.#choice.which, rows.length, own);
      faults.settle();
      await this.#predict(served!, rows, own, first, texts);
    }
    return texts.filter((text) => text !== undefined);
  }

  #grouped(first: number, count: number, faults: Faults): Groups {
    const groups = new Map<number, number[]>();
    const { which: _which, ...choice } = this.#choice;
    for (let row = 0; row < count; row++) {
      const fold = this.#folds?.[first + row] ?? choice.fold;
      if (fold === NO_FOLD) continue;
      const model = this.#set.modelOf((column) => this.#cells.cell(column, row), row, { ...choice, fold }, faults);
      if (model === null) continue;
      const rows = groups.get(model);
      if (rows !== undefined) rows.push(row);
      else groups.set(model, [row]);
    }
    return groups;
  }

  async #predict(model: ServedModel, rows: readonly number[], faults: Faults, first: number, texts: string[]) {
    const { inputs } = model.source;
    const part = this.#cells.block.part(rows, inputs, model.rules, faults);
    let i = 0;
    await model.predictColumns(part, faults, this.#room(inputs, rows.length), [[0, rows.length]], (prediction) => {
      const row = rows[i++];
      texts[row] = this.#lines.of(prediction, this.#places(first, row));
    });
  }

  #places(first: number, row: number): Cells {
    if (this.#folds === null) return [];
    const names = partitionColumns(this.#set.source.spec.data);
    return [first + row, ...names.map((name) => this.#cells.cell(name, row)), this.#folds[first + row]];
  }

  /** Where the inputs of so many rows are encoded. */
  #room(inputs: ModelSource["inputs"], rows: number): SharedArrayBuffer[] {
    for (const [at, { shape }] of inputs.entries()) {
      const bytes = 4 * rows * size(shape);
      if ((this.#memories[at]?.byteLength ?? 0) < bytes) this.#memories[at] = new SharedArrayBuffer(bytes);
    }
    return this.#memories;
  }
}

/** A column of texts. */
interface WholeTexts extends RowTexts {
  isMissing(row: number): boolean;
}

/** A block of rows, with the cells of the key. */
class CellBlock {
  readonly block: RawBlock;
  /** Of columns of the key that have more different texts than classes may be: of all rows. */
  readonly #texts: ReadonlyMap<string, WholeTexts>;
  #first = 0;
  #count = 0;

  private constructor(block: RawBlock, texts: ReadonlyMap<string, WholeTexts>) {
    this.block = block;
    this.#texts = texts;
  }

  static async open(columns: Columns, key: readonly string[], features: readonly string[]): Promise<CellBlock> {
    const texts = new Map<string, WholeTexts>();
    for (const [index, column] of columns.content.columns.entries())
      if (key.includes(column.name) && keepsTexts(column)) texts.set(column.name, await columns.texts(index));
    const names = new Set([...features, ...key.filter((name) => !texts.has(name))]);
    return new CellBlock(new RawBlock(columns, [...names]), texts);
  }

  async next(rows: number): Promise<void> {
    this.#first += this.#count;
    this.#count = rows;
    await this.block.next(rows);
  }

  cell(column: string, row: number): string | number | null {
    const texts = this.#texts.get(column);
    if (texts === undefined) return this.block.cell(column, row);
    const at = this.#first + row;
    return texts.isMissing(at) ? null : Buffer.from(texts.at(at)).toString();
  }
}
