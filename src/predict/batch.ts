/*
 * Predicts from all rows of a dataset, and writes a CSV. Rows are read, encoded, predicted and
 * written some at a time, so that the memory that this takes does not depend on their number. The
 * bytes depend on the model and the dataset alone: a row gives what it gives by itself.
 */
import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { crashPoint } from "../crash-point.ts";
import type { TablePath } from "../data/beside.ts";
import { withColumns, type Columns } from "../data/files/beside-files.ts";
import { planForward } from "../engine/plan/forward.ts";
import { size } from "../engine/member/shape.ts";
import type { PredictionResult } from "../contract/wire/batch-prediction.ts";
import { BlockColumns } from "./blocks.ts";
import { Faults } from "./columns.ts";
import { linesOf, type Lines } from "./lines.ts";
import { outputsOf, ServedModel, type ModelSource } from "./model.ts";

const MOST_ROWS = 4096;
/** Fewer rows at a time where these would take more. */
const MOST_BYTES = 16 * 2 ** 20;

export interface Batch {
  readonly source: ModelSource;
  /** Of the model. */
  readonly file: Uint8Array;
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
      let bytes = 0;
      for await (const text of texts(batch, columns, done)) {
        const piece = Buffer.from(text);
        hash.update(piece);
        bytes += piece.length;
        await csv.writeFile(piece);
      }
      await csv.sync();
      return { sha256: hash.digest("hex"), bytes, rows: columns.content.rows };
    } finally {
      await csv.close();
    }
  });
}

async function* texts(
  { source, file, blockRows = MOST_ROWS }: Batch,
  columns: Columns,
  done: (rows: number) => void,
): AsyncGenerator<string> {
  const model = new ServedModel(source, file);
  const lines = linesOf(source.loss, source.target, model.prediction);
  const blocks = new BlockColumns(columns, source.inputs, model.rules);
  const encodedBytes = source.inputs.reduce((sum, { shape }) => sum + 4 * size(shape), 0);
  const most = MOST_BYTES / (blocks.rowBytes + encodedBytes + lines.maxBytes);
  const step = Math.max(1, Math.min(blockRows, Math.floor(most)));
  const memories = source.inputs.map(({ shape }) => new SharedArrayBuffer(4 * step * size(shape)));
  yield lines.header;
  const { rows } = columns.content;
  for (let first = 0; first < rows; first += step) {
    const faults = new Faults(first);
    await blocks.next(Math.min(step, rows - first), faults);
    const written: string[] = [];
    await model.predictColumns(blocks, faults, memories, (prediction) => written.push(lines.of(prediction)));
    crashPoint("mid-prediction");
    yield written.join("");
    done(first + blocks.rows);
  }
}

/** The most bytes that the CSV for so many rows takes. */
export function mostBytes({ layers, loss, inputs, target }: ModelSource, rows: number): number {
  const { prediction } = planForward({ model: { layers }, inputs, outputs: outputsOf(target) });
  const { header, maxBytes }: Lines = linesOf(loss, target, prediction);
  return Buffer.byteLength(header) + rows * maxBytes;
}
