/*
 * Which fold each row of the table of a set is in: the model of this fold did not train on the row.
 * In each key the rows are cut into folds as those of the plain job are.
 */
import type { TablePath } from "../beside.ts";
import type { DataSpec, SplitRule } from "./encoding.ts";
import { KeyTables, partitionFile } from "./partitioned-table.ts";
import { splitColumns } from "./shared.ts";
import { splitRows } from "./split.ts";
import { ViewedFile } from "./viewed-file.ts";

/** The row validates no model: it is of no key, was dropped, or is kept for the test. */
export const NO_FOLD = -1;

/** @param data with a rule of validation that has folds */
export function foldsOfRows(table: TablePath, data: DataSpec, rows: number): Promise<Int32Array> {
  const rule = data.validation as Extract<SplitRule, { folds: number }>;
  return ViewedFile.with(table, data, async (file) => {
    const found = new Int32Array(rows).fill(NO_FOLD);
    const { table: parts, order } = await partitionFile(file, data, splitColumns(file, data));
    const tables = new KeyTables(parts);
    for (let key = 0; key < parts.keys; key++)
      for (let fold = 0; fold < rule.folds; fold++) {
        const { valid } = await splitRows(tables.of(key), { ...data, validation: { ...rule, fold } });
        for (const row of valid) found[file.numberIn(order[parts.offsets[key] + row])] = fold;
      }
    return found;
  });
}
