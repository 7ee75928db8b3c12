/*
 * Which rows of the file make the batches of an epoch, and in which order. The answer follows from
 * the spec and the table alone, so it is the same before, during and after a job's run.
 */
import { batchesPerEpoch, batchesPerStep, batchRows, stepsPerEpoch } from "../../engine/job.ts";
import { shuffle } from "../../engine/kernels/random.ts";
import type { TablePath } from "../beside.ts";
import type { DataSpec, Inherited } from "./encoding.ts";
import { hasText, isLanguage } from "./features.ts";
import { textRows } from "./text.ts";
import { ViewedFile } from "./viewed-file.ts";
import { samplesOf } from "./windows.ts";
import type { Training } from "../../engine/settings.ts";

/** A page ends once it has so many rows. A single batch may have more. */
export const MAX_PAGE_ROWS = 100_000;

export interface BatchOrderInput {
  readonly table: TablePath;
  readonly data: DataSpec;
  readonly training: Pick<Training, "batch_size" | "drop_last" | "shuffle" | "seed" | "gradient_accumulation_steps">;
  /** Encoders of another job, as the job has them. */
  readonly inherited: Inherited | null;
  /** From 0. */
  readonly epoch: number;
  /** The first batch of the page, and how many batches it has at most. */
  readonly first: number;
  readonly limit: number;
}

export interface Batch {
  /** Its number in the epoch, from 0. */
  readonly batch: number;
  /** The step that it belongs to, counted from 1 as metrics do. */
  readonly step: number;
  /**
   * Row numbers in the file, from 0. Of windows the first row of each sample, of a text its first
   * token.
   */
  readonly rows: Int32Array;
}

export interface BatchPage {
  readonly batches: Batch[];
  /** How many batches the epoch has. */
  readonly total: number;
}

export function batchOrder({
  table,
  data,
  training,
  inherited,
  epoch,
  first,
  limit,
}: BatchOrderInput): Promise<BatchPage> {
  return ViewedFile.with(table, data, async (file) => {
    const train =
      hasText(data) && isLanguage(data) ? await textRows(file, data, inherited) : await windowRows(file, data);
    const order = Int32Array.from(train.keys());
    if (training.shuffle) shuffle(order, training.seed, epoch);
    const total = batchesPerEpoch(training, train.length);
    const most = batchRows(training, train.length);
    const batches: Batch[] = [];
    let given = 0;
    for (let batch = first; batch < Math.min(total, first + limit) && given < MAX_PAGE_ROWS; batch++) {
      const rows = order.slice(batch * most, (batch + 1) * most).map((at) => train[at]);
      const step = epoch * stepsPerEpoch(training, train.length) + Math.floor(batch / batchesPerStep(training)) + 1;
      batches.push({ batch, step, rows });
      given += rows.length;
    }
    return { batches, total };
  });
}

async function windowRows(file: ViewedFile, data: DataSpec): Promise<Int32Array> {
  const { samples, order } = await samplesOf(file, data);
  return order === null ? samples.train : samples.train.map((row) => order[row]);
}
