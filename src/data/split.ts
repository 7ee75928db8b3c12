/*
 * Which rows train and which validate.
 *
 * The split is decided over all rows of the file, by their number from 0 in file order; only then `drop_row` leaves
 * rows with an empty cell (in the target or a feature) out of both sides. So `every: 5` means the same rows whatever
 * the cells hold.
 */
import { PURPOSE, shuffle } from "../engine/random.ts";
import type { ColumnFile } from "./column-file.ts";
import { MISSING_CODE } from "./column.ts";
import { featuresOf, type DataSpec, type Validation } from "./encoding.ts";

export interface Split {
  /** Ascending row numbers, on SharedArrayBuffers. */
  readonly train: Int32Array;
  readonly valid: Int32Array;
}

export async function splitRows(file: ColumnFile, data: DataSpec): Promise<Split> {
  const { rows } = file.content;
  const validates = await validationMask(file, data.validation);
  const dropped = await droppedMask(file, data);
  const pick = (side: 0 | 1) => {
    const isPicked = (row: number) => validates[row] === side && dropped[row] === 0;
    let count = 0;
    for (let row = 0; row < rows; row++) if (isPicked(row)) count++;
    const picked = new Int32Array(new SharedArrayBuffer(4 * count));
    for (let row = 0, at = 0; row < rows; row++) if (isPicked(row)) picked[at++] = row;
    return picked;
  };
  return { train: pick(0), valid: pick(1) };
}

/** How many of the rows validate; null if only the file can tell. */
export function validationCount(rows: number, validation: Validation | null): number | null {
  if (validation === null) return 0;
  if ("fraction" in validation) return Math.round(rows * validation.fraction);
  if ("every" in validation) return Math.ceil(rows / validation.every);
  return null;
}

/** Draws round(rows × fraction) rows: the first of a shuffle that hangs on the seed alone. Ascending. */
export function splitValidation(rows: number, fraction: number, seed: number): Int32Array {
  const order = Int32Array.from({ length: rows }, (_, row) => row);
  shuffle(order, seed, 0, PURPOSE.split);
  return order.subarray(0, Math.round(rows * fraction)).toSorted();
}

async function validationMask(file: ColumnFile, validation: Validation | null): Promise<Uint8Array> {
  const { rows } = file.content;
  const mask = new Uint8Array(rows);
  if (validation === null) return mask;
  if ("fraction" in validation) {
    for (const row of splitValidation(rows, validation.fraction, validation.seed)) mask[row] = 1;
  } else if ("every" in validation) {
    for (let row = 0; row < rows; row += validation.every) mask[row] = 1;
  } else {
    const values = await file.numbers(file.index(validation.column));
    for (let row = 0; row < rows; row++) mask[row] = values[row] === 1 ? 1 : 0;
  }
  return mask;
}

async function droppedMask(file: ColumnFile, data: DataSpec): Promise<Uint8Array> {
  const mask = new Uint8Array(file.content.rows);
  if (data.preprocess.missing !== "drop_row") return mask;
  for (const name of [data.target, ...featuresOf(file.content.columns, data)]) {
    const index = file.index(name);
    const { type, missing } = file.content.columns[index];
    if (missing === 0) continue;
    const isMissing = type === "numeric" ? Number.isNaN : (code: number) => code === MISSING_CODE;
    const values = type === "numeric" ? await file.numbers(index) : await file.codes(index);
    for (let row = 0; row < mask.length; row++) if (isMissing(values[row])) mask[row] = 1;
  }
  return mask;
}
