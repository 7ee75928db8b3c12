/** How many keys the columns of `data.partition_by` have, and which has the most rows. */
import type { TablePath } from "../beside.ts";
import type { DataSpec } from "./encoding.ts";
import type { DataFault } from "./check.ts";
import { partitionColumns, type TableSummary } from "./features.ts";
import { partitionRows, type Key } from "./keys.ts";
import { ViewedFile } from "./viewed-file.ts";
import { noValueFault } from "./where.ts";

export interface KeySizes {
  readonly keys: number;
  /** How many rows lack a value, and so have no key. */
  readonly missing: number;
  /** The key with the most rows; the first of several. */
  readonly largest: Key;
}

/** Without `partition_by` all rows have one key, which has no values. */
export const ONE_KEY: KeySizes = { keys: 1, missing: 0, largest: {} };

export interface KeySizesInput {
  readonly table: TablePath;
  readonly data: Pick<DataSpec, "columns" | "where" | "partition_by">;
}

/** @param table the columns with the types that the job declares */
export function partitionFaults({ columns }: TableSummary, data: Pick<DataSpec, "partition_by">): DataFault[] {
  const names = partitionColumns(data);
  return names.flatMap((name, i) => {
    const pointer = typeof data.partition_by === "string" ? "/data/partition_by" : `/data/partition_by/${i}`;
    const column = columns.find((one) => one.name === name);
    const why = column === undefined ? "which is not a column of the dataset" : noValueFault(column);
    if (why !== null) return [{ pointer, message: `names ${JSON.stringify(name)}, ${why}` }];
    return names.indexOf(name) < i ? [{ pointer, message: `names ${JSON.stringify(name)} a second time` }] : [];
  });
}

export function keySizes({ table, data }: KeySizesInput): Promise<KeySizes> {
  return ViewedFile.with(table, data, async (file) => {
    const { keys, missing, key, rows } = await partitionRows(file, partitionColumns(data));
    let [largest, most] = [0, 0];
    for (let n = 0; n < keys; n++) {
      const count = rows(n).length;
      if (count > most) [largest, most] = [n, count];
    }
    return { keys, missing, largest: keys === 0 ? {} : key(largest) };
  });
}
