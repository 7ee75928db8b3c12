/*
 * Predicts from all rows of a dataset, and writes a CSV. Rows are read, encoded, predicted and
 * written some at a time, so that the memory that this takes does not depend on their number. The
 * bytes depend on the model and the dataset alone: a row gives what it gives by itself.
 */
import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { crashPoint } from "../crash-point.ts";
import type { DatasetSummary, TablePath } from "../data/beside.ts";
import { widthOf } from "../data/encode/apply.ts";
import { withColumns, type Columns } from "../data/files/beside-files.ts";
import { size } from "../engine/member/shape.ts";
import type { PredictionResult } from "../contract/wire/batch-prediction.ts";
import { BlockColumns } from "./blocks.ts";
import { Faults } from "./columns.ts";
import type { Prediction } from "./answers.ts";
import { linesFor, type Lines } from "./lines.ts";
import { ServedModel, type ModelSource, type OneModel } from "./model.ts";
import { placeBytes, placesOf, Series } from "./series.ts";
import { textsOfSet, type SetBatch } from "./set-batch.ts";

const MOST_ROWS = 4096;
/** Fewer rows at a time where these would take more. */
const MOST_BYTES = 16 * 2 ** 20;

export interface Batch {
  readonly model: OneModel | SetBatch;
  readonly table: TablePath;
  /** Where the CSV is written. A file that is there is replaced. */
  readonly csvPath: string;
  /** How many rows are read at a time; if absent, as many as are good. */
  readonly blockRows?: number;
}

/**
 * @param done gets the number of rows so far
 * @throws Problem with the faults of some rows, DamagedFile
 */
export async function predictBatch(batch: Batch, done: (rows: number) => void): Promise<PredictionResult> {
  return await withColumns(batch.table, async (columns) => {
    const csv = await open(batch.csvPath, "w");
    try {
      const hash = createHash("sha256");
      let [bytes, lines] = [0, 0];
      const { model, ...files } = batch;
      const all =
        "set" in model ? textsOfSet(model, { ...files, columns }, done) : texts(model, { ...files, columns }, done);
      for await (const written of all) {
        const piece = Buffer.from(written.join(""));
        lines += written.length;
        hash.update(piece);
        bytes += piece.length;
        await csv.writeFile(piece);
      }
      await csv.sync();
      return { sha256: hash.digest("hex"), bytes, rows: lines - 1 };
    } finally {
      await csv.close();
    }
  });
}

async function* texts(
  { source, file }: OneModel,
  { columns, blockRows = MOST_ROWS }: Pick<Batch, "blockRows"> & { readonly columns: Columns },
  done: (rows: number) => void,
): AsyncGenerator<string[]> {
  const { inputs, window } = source;
  const model = new ServedModel(source, file);
  const lines = linesOfModel(source);
  // A window may begin in the block before.
  const keep = window === null ? 0 : window.length - 1;
  const blocks = new BlockColumns(columns, inputs, model.rules, keep);
  const widths = inputs.map(({ shape, encoders, type }) => (window === null ? size(shape) : widthOf(encoders, type)));
  const most = MOST_BYTES / (blocks.rowBytes + widths.reduce((sum, width) => sum + 4 * width, lines.maxBytes));
  const step = Math.max(1, Math.min(blockRows, Math.floor(most)));
  const memories = widths.map((width) => new SharedArrayBuffer(4 * (keep + step) * width));
  let written: string[] = [];
  const series =
    window && new Series(columns, window, (places, prediction) => written.push(lines.of(prediction, places)));
  yield [lines.header];
  const { rows } = columns.content;
  for (let first = 0; first < rows; first += step) {
    const count = Math.min(step, rows - first);
    const faults = new Faults((row) => first + row);
    await blocks.next(count, faults);
    const lengths = (await series?.next(count, faults)) ?? null;
    faults.settle();
    const samples = lengths === null ? [[0, count] as const] : samplesIn(lengths, blocks.kept, keep);
    const predictions: Prediction[] = [];
    const each = (prediction: Prediction) =>
      series === null ? written.push(lines.of(prediction)) : predictions.push(prediction);
    await model.predictColumns(blocks, new Faults((row) => first - blocks.kept + row), memories, samples, each);
    if (series !== null && lengths !== null) series.take(lengths, predictions);
    if (first + count === rows) series?.end();
    crashPoint("mid-prediction");
    yield written;
    written = [];
    done(first + count);
  }
}

/** The windows that end in a block, as stretches of their first rows. */
function samplesIn(lengths: Int32Array, kept: number, before: number): [number, number][] {
  const found: [number, number][] = [];
  for (const [row, length] of lengths.entries()) {
    if (length <= before) continue;
    const start = kept + row - before;
    const last = found.at(-1);
    if (last?.[1] === start) last[1]++;
    else found.push([start, start + 1]);
  }
  return found;
}

export function linesOfModel(source: ModelSource): Lines {
  return linesFor(source, source.window === null ? [] : placesOf(source.window));
}

/** The most bytes that the CSV for so many rows takes. */
export function mostBytes(source: ModelSource, { rows, columns }: DatasetSummary): number {
  const { window } = source;
  const { header, maxBytes } = linesOfModel(source);
  const places = window === null ? 0 : placeBytes(window, columns);
  return Buffer.byteLength(header) + rows * (maxBytes + places);
}
