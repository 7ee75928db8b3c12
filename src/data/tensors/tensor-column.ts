/** From an array of a file to a column of a dataset. */
import { MAX_DIMENSIONS } from "../../engine/member/shape.ts";
import { numericSummary, type AnyColumn } from "../columns/column.ts";
import { InvalidDataset, MAX_CLASSES, MAX_NAME_LENGTH, type TensorColumn } from "../dataset.ts";
import { isInteger, keptOf, type RawArray, type TensorValues } from "./elements.ts";

export const MAX_ARRAYS = 64;

/** @throws InvalidDataset */
export function assertCount(arrays: number): void {
  if (arrays === 0) throw new InvalidDataset("The file holds no array.", null);
  if (arrays > MAX_ARRAYS)
    throw new InvalidDataset(`The file holds ${arrays} arrays; a dataset may have ${MAX_ARRAYS}.`, null);
}

/**
 * The columns of the arrays of a file, which must have the same number of rows.
 * @throws InvalidDataset
 */
export async function tensorColumns(
  arrays: AsyncIterable<RawArray> | Iterable<RawArray>,
): Promise<{ rows: number; columns: AnyColumn[] }> {
  const columns = new Map<string, AnyColumn>();
  let first: { name: string; rows: number } | null = null;
  for await (const array of arrays) {
    const { column, rows } = tensorColumn(array);
    const { name } = array;
    first ??= { name, rows };
    if (rows !== first.rows)
      throw new InvalidDataset(
        `The arrays ${JSON.stringify(first.name)} and ${JSON.stringify(name)} have ${first.rows} and ${rows} rows. The first dimension counts rows, and must be the same for all.`,
        null,
      );
    if (columns.has(name)) throw new InvalidDataset(`Two arrays are named ${JSON.stringify(name)}.`, null);
    columns.set(name, column);
  }
  return { rows: first!.rows, columns: [...columns.values()] };
}

/**
 * The first dimension counts the rows. Its elements are kept as they come out of the file.
 * @throws InvalidDataset
 */
function tensorColumn(array: RawArray): { column: AnyColumn; rows: number } {
  assertFits(array);
  const { name, dtype } = array;
  const [rows, ...shape] = array.shape;
  const values = keptOf(array);
  if (shape.length === 0) {
    const summary: TensorColumn = { ...numericSummary(name, 0, values), type: "tensor", dtype, shape };
    return { column: { summary, values }, rows };
  }
  const summary: TensorColumn = {
    name,
    type: "tensor",
    missing: 0,
    ...rangeOf(values),
    mean: null,
    // Whole numbers may be classes: of the steps of a sequence, or of the points of an image.
    classes: isInteger(dtype) ? classesOf(values) : null,
    all_different: false,
    reason: null,
    dtype,
    shape,
  };
  return { column: { summary, values }, rows };
}

function assertFits({ name, shape }: RawArray): void {
  const fault = (message: string) => new InvalidDataset(`The array ${JSON.stringify(name)} ${message}`, null);
  if (name === "") throw new InvalidDataset("An array has no name. Give it one.", null);
  if (name.length > MAX_NAME_LENGTH) throw fault(`has a name of more than ${MAX_NAME_LENGTH} characters: shorten it.`);
  if (shape.length === 0) throw fault("is a single number. Its first dimension must count the rows.");
  if (shape.length > MAX_DIMENSIONS)
    throw fault(`has ${shape.length} dimensions; it may have ${MAX_DIMENSIONS}. Reshape it.`);
  if (shape.includes(0)) throw fault(`has the shape [${shape.join(", ")}], so it holds nothing.`);
}

/** Counts: to iterate over an array of numbers takes six times as long. */
function rangeOf(values: TensorValues): { min: number; max: number } {
  let min = Infinity;
  let max = -Infinity;
  for (let i = 0; i < values.length; i++) {
    if (values[i] < min) min = values[i];
    if (values[i] > max) max = values[i];
  }
  return { min, max };
}

function classesOf(values: TensorValues): string[] | null {
  const distinct = values.BYTES_PER_ELEMENT > 2 ? distinctOf(values) : distinctShorts(values);
  return distinct.size > MAX_CLASSES ? null : Array.from(Float64Array.from(distinct).sort(), String);
}

/** Stops when they are too many. */
function distinctOf(values: TensorValues): Set<number> {
  const distinct = new Set<number>();
  for (const value of values) {
    distinct.add(value);
    if (distinct.size > MAX_CLASSES) break;
  }
  return distinct;
}

/** Of numbers of up to 16 bits, such as those of many images: looks few of them up in a set. */
function distinctShorts(values: TensorValues): Set<number> {
  const distinct = new Set<number>();
  const seen = new Uint8Array(1 << 16);
  for (let i = 0; i < values.length; i++) {
    const bits = values[i] & 0xffff;
    if (seen[bits] === 1) continue;
    seen[bits] = 1;
    distinct.add(values[i]);
  }
  return distinct;
}
