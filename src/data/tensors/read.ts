/** Files of arrays: which format they have, and their columns. */
import { InvalidDataset, type DatasetFormat } from "../dataset.ts";
import type { AnyColumn } from "../columns/column.ts";
import { atMost, isGzipFile, tableBytes } from "../table/unpack.ts";
import { ByteReader } from "./byte-reader.ts";
import type { RawArray } from "./elements.ts";
import { NPY_MAGIC, readNpy } from "./npy.ts";
import { isZip, readNpz } from "./npz.ts";
import { isSafetensors, readSafetensors } from "./safetensors.ts";
import { tensorColumn } from "./tensor-column.ts";

/** The name of an array in a file that gives none. */
const UNNAMED = "values";
/** Enough to recognise any format. */
const START_BYTES = 16;

export interface Tensors {
  readonly format: Exclude<DatasetFormat, "csv">;
  readonly rows: number;
  readonly columns: AnyColumn[];
}

/**
 * Null if the file holds no arrays, so that it may be a table.
 * @param limitBytes of the bytes when they are unpacked
 * @throws InvalidDataset, DatasetTooLarge
 */
export async function readTensors(path: string, limitBytes: number): Promise<Tensors | null> {
  const reader = new ByteReader(atMost(tableBytes(path), limitBytes));
  try {
    const start = await reader.peek(START_BYTES);
    if (start.subarray(0, NPY_MAGIC.length).equals(NPY_MAGIC))
      return { format: "npy", ...(await columnsOf([await readNpy(reader, UNNAMED, limitBytes)])) };
    if (isSafetensors(start))
      return { format: "safetensors", ...(await columnsOf(readSafetensors(reader, limitBytes))) };
    if (!isZip(start)) return null;
    // The list of an archive's files is at its end.
    const archive = (await isGzipFile(path)) ? await reader.rest() : path;
    return { format: "npz", ...(await columnsOf(readNpz(archive, limitBytes))) };
  } finally {
    await reader.close();
  }
}

async function columnsOf(
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
